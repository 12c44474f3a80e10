#!/usr/bin/env python3
"""Exhaustive check of the one-round commit rule: every order in which things can happen, on a few shards.

    python3 docs/models/commit_model.py           the quick bound, and every mutation of the rule: for `.ci/run`
    python3 docs/models/commit_model.py --deep    more shards, longer logs: minutes, and some gigabytes of memory

The rule. A transaction is prepared by one log entry on each of its shards, and committed when it is prepared on all. Whoever
wants to know its outcome asks them; a shard that hasn't prepared it logs a tombstone before it says so (Prevent), and that is
what aborts. Outcomes are kept until every participant has passed a floor below which it prepares nothing more.

What can happen. A message, once sent, arrives at any later time, any number of times, or never. A shard's leader takes an
operation into its log after a look at what is applied and what is under way, and the log's end may be lost with the leader; what
is applied is for ever. Gateways and recoverers may die at any moment, and so does everything that only they knew. A gateway may
retry under a new id, say "executed", say "not executed", or say nothing (which is what a client hears as UNKNOWN). Knowledge never
goes stale by itself: "it was prepared there once" and "it has a tombstone there" stay true, so whoever decides may have heard them
at any earlier time. What does go stale, "it is prepared there *now*", is modelled as what a deposed leader would say, too.

What must hold, in every state: see `broken`. And from every state the locks can be freed although no gateway lives.
"""
import sys
from collections import deque

NONE, PREPARED, ABORTED, COMMITTED = range(4)  # a tombstone is ABORTED: nothing depends on the difference
RUNNING, SAID_DONE, SAID_NOT, SILENT = range(4)  # a gateway; SILENT: dead, or it has said UNKNOWN
PREPARE, PREVENT, WRITE = range(3)  # operations in a log

MUTATIONS = {
    "prevent unlogged": "a shard says 'absent' without a tombstone",
    "forget early": "an outcome is forgotten although others may still be prepared",
    "no floor": "a Prepare below the floor is taken",
    "floor over prepared": "the floor passes over what is prepared",
    "refusal is an abort": "a leader's refusal, not logged, counts as an abort (counterexample 1)",
    "forgotten is absent": "FORGOTTEN counts as 'not executed' (counterexample 2)",
    "forgotten and stale": "after FORGOTTEN, 'prepared' is believed that was not asked for through the log",
    "gateway aborts alone": "a gateway that has waited long enough aborts without a tombstone",
    "late resolve wins": "an outcome that arrives late replaces the one that is there",
    "tombstone unchecked": "applying a Prepare doesn't look for a tombstone (only the leader did, before)",
    "versions unchecked": "applying a Prepare doesn't look at versions (only the leader did, before; counterexample 3)",
    "locks unchecked": "applying doesn't look at locks, and the leader only sees those that are applied",
    "watch takes no lock": "a shard that is only watched is checked and not locked",
}


class Scenario:
    """Who takes part. `requests`: for each client's request the shards it touches and the ids that its gateway may use, one
    after the other; ids are timestamps, from 1. `watched`: a shard that request 0 only watches. `log`: how many operations
    may be under way in a shard's log; 0 means that they are applied as they arrive. `writes`: whether plain commands change
    shard 0 (once) and, after that one was answered, shard 1 (once)."""

    def __init__(self, name, shards, requests, watched=None, log=0, writes=False, floors=True):
        self.name, self.shards, self.requests, self.log = name, shards, requests, log
        self.watched, self.writes, self.floors = watched, writes, floors
        self.ids = sorted(i for _, ids in requests for i in ids)
        assert self.ids == list(range(1, len(self.ids) + 1))
        self.parts = {i: parts for parts, ids in requests for i in ids}
        self.request = {i: r for r, (_, ids) in enumerate(requests) for i in ids}
        self.full = {i: sum(1 << s for s in self.parts[i]) for i in self.ids}


# A state is (shards, ids, gateways):
#   shard    (status of each id, floor, forgotten, version, log)
#   id       (was prepared on: mask; is known aborted; was ever committed; whole: was it prepared on all; commit and abort
#             are on their way; version of shard 0 that its client saw, and whether it saw the write on shard 1)
#   gateway  (which of its ids, what it has said)


def start(sc):
    shard = ((NONE,) * len(sc.ids), 0, 0, 0, ())
    unsent = (0, 0, 0, 0, 0, 0, 0)
    return ((shard,) * sc.shards, (unsent,) * len(sc.ids), ((0, RUNNING),) * len(sc.requests))


def put(values, at, value):
    return values[:at] + (value,) + values[at + 1:]


def sent(sc, gateways, i):
    r = sc.request[i]
    return sc.requests[r][1].index(i) <= gateways[r][0]


def locked(sc, status, log, me):
    """Whether an id other than `me` holds the shard: prepared, or on its way to be."""
    if any(x == PREPARED for j, x in zip(sc.ids, status) if j != me):
        return True
    return any(kind == PREPARE and j != me for kind, j in log)


class Broken(Exception):
    pass


def apply(sc, mut, state, s, op):
    """The next operation of shard `s`'s log takes effect."""
    shards, ids, gateways = state
    status, floor, forgotten, version, log = shards[s]
    kind, i = op
    if kind == WRITE:
        if locked(sc, status, (), None):
            if mut != "locks unchecked":
                return state  # refused; its gateway sends it again
            raise Broken("a plain command changed what a transaction holds")
        return put(shards, s, (status, floor, forgotten, 1, log)), ids, gateways
    at = i - 1
    was, aborted, committed, whole, res_c, res_a, saw = ids[at]
    old = status[at]
    if kind == PREVENT:
        if old != NONE or (i <= floor and mut != "no floor"):
            return state  # answers what it is; below the floor, that it never will be
        if mut == "prevent unlogged":
            return shards, put(ids, at, (was, 1, committed, whole, res_c, res_a, saw)), gateways
        new = ABORTED
    elif old != NONE:
        if mut != "tombstone unchecked" or old != ABORTED:
            return state
        raise Broken("prepared over a tombstone")
    elif i <= floor and mut != "no floor":
        return state
    elif locked(sc, status, (), i) and mut != "locks unchecked":
        new = ABORTED
    elif s == 0 and sc.writes and version != saw & 1 and mut != "versions unchecked":
        new = ABORTED  # a watched or read key has changed
    else:
        new = PREPARED
        if locked(sc, status, (), i):
            raise Broken("two transactions hold one lock")
        if was >> s & 1:
            raise Broken("executed twice on a shard")
        if s == 0 and sc.writes and version != saw & 1:
            raise Broken("a watched key had changed, and the transaction executed")
        was |= 1 << s
        unheld = mut == "watch takes no lock" and s == sc.watched
        if unheld:
            new = COMMITTED  # checked and let go: it counts as prepared, and holds nothing
        statuses = [new if p == s else shards[p][0][at] for p in sc.parts[i]]
        whole = whole or int(was == sc.full[i] and all(x == PREPARED or mut == "watch takes no lock" for x in statuses))
        # The plain write on shard 1 began when the one on shard 0 had been answered. A transaction that comes before that
        # one comes before this one.
        if whole and sc.watched == 0 and shards[1][3] and not saw:
            raise Broken("a watched key changed before the transaction took effect")
    aborted = aborted or int(new == ABORTED)
    return put(shards, s, (put(status, at, new), floor, forgotten, version, log)), \
        put(ids, at, (was, aborted, committed, whole, res_c, res_a, saw)), gateways


def offer(sc, mut, state, s, op):
    """The leader of `s` is sent an operation: it takes it into its log, or, if the log is not modelled, applies it."""
    shards, ids, gateways = state
    status, floor, forgotten, version, log = shards[s]
    kind, i = op
    under_way = () if mut == "locks unchecked" else log
    if kind in (PREPARE, WRITE) and locked(sc, status, under_way, i):
        return None  # it waits, or is refused; nothing is logged
    if kind != WRITE and (op in log or status[i - 1] != NONE):
        return None
    if kind == PREPARE and s == 0 and sc.writes and version != ids[i - 1][6] & 1 and sc.log:
        return None  # a look before the log saves an entry; without a log this is decided by `apply`
    if not sc.log:
        return apply(sc, mut, state, s, op)
    if len(log) == sc.log:
        return None
    return put(shards, s, (status, floor, forgotten, version, log + (op,))), ids, gateways


def steps(sc, mut, state):
    """Everything that can happen next, with a name."""
    shards, ids, gateways = state
    for s in range(sc.shards):
        status, floor, forgotten, version, log = shards[s]
        if log:
            rest = put(shards, s, (status, floor, forgotten, version, log[1:])), ids, gateways
            yield ("applied", s, log[0]), apply(sc, mut, rest, s, log[0])
            for kept in range(len(log)):
                yield ("leader lost, log keeps", s, kept), \
                    (put(shards, s, (status, floor, forgotten, version, log[:kept])), ids, gateways)
        if sc.writes and s < 2 and version == 0 and (WRITE, 0) not in log and (s == 0 or shards[0][3] == 1):
            new = offer(sc, mut, state, s, (WRITE, 0))
            if new:
                yield ("plain write", s), new
        if sc.floors and floor < len(sc.ids):
            if mut == "floor over prepared" or status[floor] != PREPARED:
                yield ("floor rises", s, floor + 1), \
                    (put(shards, s, (status, floor + 1, forgotten, version, log)), ids, gateways)
        if forgotten < len(sc.ids) and (forgotten < floor or mut == "no floor"):
            i = forgotten + 1
            passed = all(shards[p][1] >= i or mut == "no floor" and shards[p][0][i - 1] in (ABORTED, COMMITTED)
                         for p in sc.parts[i]) if s in sc.parts[i] else True
            known = status[i - 1] in (ABORTED, COMMITTED)
            if status[i - 1] != PREPARED and (passed or not known or mut == "forget early"):
                yield ("forgets", s, i), \
                    (put(shards, s, (put(status, i - 1, NONE), floor, i, version, log)), ids, gateways)

    for i in sc.ids:
        if not sent(sc, gateways, i):
            continue
        at, parts, full, r = i - 1, sc.parts[i], sc.full[i], sc.request[i]
        was, aborted, committed, whole, res_c, res_a, saw = ids[at]
        for s in parts:
            for kind, name in ((PREPARE, "prepare"), (PREVENT, "prevent")):
                new = offer(sc, mut, state, s, (kind, i))
                if new and new != state:
                    yield (name, i, s), new
            # Outcomes arrive. One that finds nothing prepared changes nothing, or is a tombstone in advance.
            status, floor, forgotten, version, log = shards[s]
            old = status[at]
            if res_c and (old == PREPARED or mut == "late resolve wins" and old == ABORTED):
                new = put(shards, s, (put(status, at, COMMITTED), floor, forgotten, version, log))
                yield ("commit arrives", i, s), (new, put(ids, at, (was, aborted, 1, whole, res_c, res_a, saw)), gateways)
            if res_a and (old == PREPARED or old == NONE and i > floor or mut == "late resolve wins" and old == COMMITTED):
                new = put(shards, s, (put(status, at, ABORTED), floor, forgotten, version, log))
                yield ("abort arrives", i, s), (new, put(ids, at, (was, 1, committed, whole, res_c, res_a, saw)), gateways)

        # What anybody may have found out by now.
        forgot = [p for p in parts if shards[p][2] >= i]
        held = [p for p in parts if shards[p][0][at] == PREPARED]
        # Passed by the floor and never forgotten: not there, and never will be. As good as a tombstone.
        passed_by = any(shards[p][0][at] == NONE and shards[p][2] < i <= shards[p][1] for p in parts) and mut != "no floor"
        if was == full and not res_c:
            yield ("recoverer: commit", i), (shards, put(ids, at, (was, aborted, committed, whole, 1, res_a, saw)), gateways)
        if not res_a:
            new_ids = put(ids, at, (was, aborted, committed, whole, res_c, 1, saw))
            if aborted or passed_by:
                yield ("recoverer: abort", i), (shards, new_ids, gateways)
            elif forgot and was:
                # It speaks for a shard that was prepared when it asked; perhaps a leader that has been deposed since.
                yield ("recoverer: abort by FORGOTTEN", i), (shards, new_ids, gateways)

        k, said = gateways[r]
        if said != RUNNING or sc.requests[r][1][k] != i:
            continue
        if was == full:
            new_ids = put(ids, at, (was, aborted, committed, whole, 1, res_a, saw))
            yield ("gateway: executed", i), (shards, new_ids, put(gateways, r, (k, SAID_DONE)))
        # The gateway asks after FORGOTTEN through the log, so "prepared" is true at a later moment than FORGOTTEN.
        after = held or (mut == "forgotten and stale" and was)
        if aborted or passed_by or (forgot and after) or mut == "refusal is an abort" \
                or (forgot and mut == "forgotten is absent") or mut == "gateway aborts alone":
            resolves = 1 if mut != "refusal is an abort" else res_a
            new_ids = put(ids, at, (was, aborted, committed, whole, res_c, resolves, saw))
            why = "" if aborted or passed_by else " by FORGOTTEN"
            yield ("gateway: not executed" + why, i), (shards, new_ids, put(gateways, r, (k, SAID_NOT)))
            if k + 1 < len(sc.requests[r][1]):
                nxt = sc.requests[r][1][k + 1]
                sees = shards[0][3]
                new_ids = put(new_ids, nxt - 1, new_ids[nxt - 1][:6] + (sees,))
                yield ("gateway: retries", i, nxt), (shards, new_ids, put(gateways, r, (k + 1, RUNNING)))
        yield ("gateway: dies or says UNKNOWN", i), (shards, ids, put(gateways, r, (k, SILENT)))


def broken(sc, state):
    """The name of the promise that this state breaks."""
    shards, ids, gateways = state
    for i in sc.ids:
        was, aborted, committed, whole, _, _, _ = ids[i - 1]
        if committed and aborted:
            return "committed here and aborted there"
        if whole and aborted:
            return "prepared everywhere, and yet aborted"
        if committed and was != sc.full[i]:
            return "committed without being prepared everywhere"
    for r, (k, said) in enumerate(gateways):
        done = [i for i in sc.requests[r][1] if ids[i - 1][2] or ids[i - 1][3]]  # committed, or bound to be
        if len(done) > 1:
            return "executed under two ids"
        if said == SAID_NOT and done:
            return "said 'not executed', and it was"
        if said == SAID_DONE and sc.requests[r][1][k] not in done:
            return "said 'executed', and it wasn't"
        if said == RUNNING and done and done[0] != sc.requests[r][1][k]:
            return "retried what was executed"
    return None


def recover(sc, state):
    """What the shards' leaders do when every gateway is dead: it must free all locks, whatever has happened before."""
    shards, ids, gateways = state
    gateways = tuple((k, SILENT) for k, _ in gateways)
    for s in range(sc.shards):
        while shards[s][4]:
            rest = put(shards, s, shards[s][:4] + (shards[s][4][1:],)), ids, gateways
            shards, ids, _ = apply(sc, None, rest, s, shards[s][4][0])
    for i in sc.ids:
        parts = sc.parts[i]
        if all(shards[p][0][i - 1] != PREPARED for p in parts):
            continue
        for p in parts:
            shards, ids, _ = apply(sc, None, (shards, ids, gateways), p, (PREVENT, i))
        statuses = [shards[p][0][i - 1] for p in parts]
        outcome = COMMITTED if all(x in (PREPARED, COMMITTED) for x in statuses) else ABORTED
        if outcome == COMMITTED and ABORTED in statuses or outcome == ABORTED and COMMITTED in statuses:
            return "the recoverer finds two outcomes"
        mark = (ids[i - 1][1] or int(outcome == ABORTED), ids[i - 1][2] or int(outcome == COMMITTED))
        ids = put(ids, i - 1, ids[i - 1][:1] + mark + ids[i - 1][3:])
        for p in parts:
            if shards[p][0][i - 1] == PREPARED:
                shards = put(shards, p, (put(shards[p][0], i - 1, outcome),) + shards[p][1:])
    return broken(sc, (shards, ids, gateways))


def check(sc, mut=None, taken=None, limit=20_000_000):
    """Visits all states. Answers what broke (or nothing), the way there, and how many states and steps there were; counts in
    `taken` which steps were taken."""
    taken = {} if taken is None else taken
    first = start(sc)
    seen = {first: None}
    queue = deque([first])
    edges = 0

    def way(state, last):
        path = [last]
        while seen[state] is not None:
            state, label = seen[state]
            path.append(label)
        return path[::-1]

    while queue:
        state = queue.popleft()
        label = ("next",)
        try:
            for label, new in steps(sc, mut, state):
                if new == state:
                    continue
                edges += 1
                taken[label[0]] = taken.get(label[0], 0) + 1
                if new in seen:
                    continue
                what = broken(sc, new) or (None if mut else recover(sc, new))
                if what:
                    return what, way(state, label), len(seen), edges
                seen[new] = (state, label)
                queue.append(new)
                if len(seen) > limit:
                    return "too many states", [], len(seen), edges
        except Broken as what:
            return str(what), way(state, ("after which",)), len(seen), edges
    return None, [], len(seen), edges



TWO, THREE = (0, 1), (0, 1, 2)
QUICK = [
    Scenario("two shards, and a retry", 2, [(TWO, (1, 2))]),
    Scenario("three shards", 3, [(THREE, (1,))]),
    Scenario("a watched key, plain writes, logs that are lost", 2, [(TWO, (1,))], watched=0, log=2, writes=True, floors=False),
    Scenario("two clients, logs that are lost", 2, [(TWO, (1,)), (TWO, (2,))], log=2, floors=False),
]
DEEP = [
    Scenario("a watched key, plain writes, logs that are lost, a retry", 2, [(TWO, (1, 2))], watched=0, log=1, writes=True),
    Scenario("three shards, and a retry", 3, [(THREE, (1, 2))]),
    Scenario("three shards, two clients", 3, [(THREE, (1,)), (TWO, (2,))]),
    Scenario("two shards, two clients, and a retry between them", 2, [(TWO, (1, 3)), (TWO, (2,))]),
]


def main(arguments):
    if arguments[:1] == ["--show"]:
        for sc in QUICK:
            what, way, _, _ = check(sc, arguments[1])
            if what:
                print(f"{arguments[1]}: {what} ({sc.name})")
                for number, label in enumerate(way, 1):
                    print(f"  {number:2}. {' '.join(str(part) for part in label)}")
                return 0
        return 1
    failed, taken = False, {}
    for sc in QUICK + (DEEP if "--deep" in arguments else []):
        what, way, states, edges = check(sc, None, taken)
        print(f"{what or 'holds'}: {sc.name}: {states} states, {edges} steps", flush=True)
        for label in way:
            print("   ", *label)
        failed |= what is not None
    # A model in which something never happens says nothing about it.
    for name in ("applied", "leader lost, log keeps", "plain write", "floor rises", "forgets", "prepare", "prevent",
                 "commit arrives", "abort arrives", "recoverer: commit", "recoverer: abort", "recoverer: abort by FORGOTTEN",
                 "gateway: executed", "gateway: not executed", "gateway: not executed by FORGOTTEN", "gateway: retries",
                 "gateway: dies or says UNKNOWN"):
        if not taken.get(name):
            print(f"never happened: {name}")
            failed = True
    for mut, meaning in MUTATIONS.items():
        found = next((result for result in (check(sc, mut) for sc in QUICK) if result[0]), None)
        print(f"{'caught' if found else 'NOT CAUGHT'}: {mut} ({meaning})" + (f": {found[0]}" if found else ""), flush=True)
        failed |= found is None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
