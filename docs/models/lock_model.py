#!/usr/bin/env python3
"""Exhaustive check of the lock rule: who waits, who is refused, and that nobody waits in a circle.

    python3 docs/models/lock_model.py           some seconds
    python3 docs/models/lock_model.py --deep    a fourth transaction

The rule. A transaction asks all its shards at once for locks, each of which it gets whole or not at all. Whoever is younger than the
holder waits, and so does whoever finds an older one waiting for the same; whoever is older than the holder is refused, gives back what it has
elsewhere, and asks again as the youngest of all. A transaction that has all its locks takes effect and gives them back.

What can happen. Requests arrive in any order; locks are given back one by one, at any later time. Here all want the same lock of each of
their shards. Time doesn't exist: nobody gives up because he has waited.

What must hold. From every state everybody can still get through; and no state is stuck, so that it would take a timeout to go on. The model also
says whether a network that delivers everything some time, but again and again the wrong message first, could keep all from getting through.
"""
import sys
from collections import deque
from itertools import combinations

COMING, WAITS, HOLDS, GONE = range(4)  # of a request at a shard; GONE: refused, or given back
ASKS, GIVES_UP, DONE = range(3)  # of a transaction

MUTATIONS = {
    "the older waits, too": "nobody is refused",
    "the refused keeps what it has": "it asks again as the youngest, and gives nothing back elsewhere",
}
# Not a mutation but another rule that is right (Rosenkrantz, Stearns and Lewis, 1978): the older waits, the younger is refused and keeps its age.
# Nobody can delay all for ever under it; but whoever comes second to a lock, which is the usual case, is refused.
CLASSIC = "wait-die as it was published"


def check(shards_of, mut=None):
    """Visits all states. Answers what broke (or nothing), how many states there are, and whether the network could keep everybody from
    getting through for ever, though it delivers everything some time."""
    names = range(len(shards_of))

    def put(values, at, value):
        return values[:at] + (value,) + values[at + 1:]

    def age(order, t):
        return order.index(t)  # 0 is the oldest

    def answer(state, t, s):
        """What becomes of a request that arrives at a shard, or of one that waits when something was given back."""
        order, phases, requests = state
        holders = [o for o in names if o != t and requests[o].get(s) == HOLDS]
        waiters = [o for o in names if o != t and requests[o].get(s) == WAITS and age(order, o) < age(order, t)]
        younger = any(age(order, o) > age(order, t) for o in holders)
        if mut == "the older waits, too":
            return WAITS if holders else HOLDS
        if mut == CLASSIC:
            older = waiters or any(age(order, o) < age(order, t) for o in holders)
            return GONE if older else WAITS if holders else HOLDS
        if younger:
            return GONE
        return WAITS if holders or waiters else HOLDS

    def steps(state):
        order, phases, requests = state
        for t in names:
            for s, what in requests[t].items():
                def at(value, t=t, s=s):
                    return put(requests, t, {**requests[t], s: value})
                if phases[t] == ASKS and what in (COMING, WAITS):
                    new = answer(state, t, s)
                    if new == GONE and mut == "the refused keeps what it has":
                        yield ("asks again", t, s), (tuple(o for o in order if o != t) + (t,), phases, at(COMING))
                    elif new == GONE:
                        yield ("refused", t, s), (order, put(phases, t, GIVES_UP), at(GONE))
                    elif new != what:
                        yield ("holds" if new == HOLDS else "waits", t, s), (order, phases, at(new))
                elif phases[t] in (GIVES_UP, DONE) and what in (HOLDS, WAITS, COMING):
                    # A request that was still coming meets a tombstone.
                    yield ("gives back", t, s), (order, phases, at(GONE))
            if phases[t] == ASKS and all(what == HOLDS for what in requests[t].values()):
                yield ("takes effect", t), (order, put(phases, t, DONE), requests)
            if phases[t] == GIVES_UP and all(what == GONE for what in requests[t].values()):
                younger = tuple(o for o in order if o != t) + (t,)
                if mut == CLASSIC:
                    younger = order
                fresh = put(requests, t, {s: COMING for s in shards_of[t]})
                yield ("asks again", t), (younger, put(phases, t, ASKS), fresh)

    def frozen(state):
        order, phases, requests = state
        return order, phases, tuple(tuple(sorted(r.items())) for r in requests)

    start = (tuple(names), (ASKS,) * len(names), tuple({s: COMING for s in shards_of[t]} for t in names))
    seen, after, before = {frozen(start): start}, {}, {}
    queue = deque([frozen(start)])
    while queue:
        key = queue.popleft()
        after[key] = []
        for label, new in steps(seen[key]):
            new_key = frozen(new)
            after[key].append((label, new_key))
            before.setdefault(new_key, []).append(key)
            if new_key not in seen:
                seen[new_key] = new
                queue.append(new_key)
    finished = [key for key, (_, phases, requests) in seen.items()
                if all(p == DONE for p in phases) and all(w == GONE for r in requests for w in r.values())]
    stuck = [key for key in seen if not after[key] and key not in set(finished)]
    if stuck:
        return "nobody can go on", len(seen), None
    good, queue = set(finished), deque(finished)
    while queue:
        for key in before.get(queue.popleft(), ()):
            if key not in good:
                good.add(key)
                queue.append(key)
    if len(good) < len(seen):
        return "somebody can never get through", len(seen), None
    return None, len(seen), goes_round(after)


def goes_round(after):
    """Whether there is a way round on which nobody takes effect, although every step that stays possible is taken some time: a set of states, each
    reached from each, that no such step leads out of for good."""
    ahead = {key: [(label, new) for label, new in news if label[0] != "takes effect"] for key, news in after.items()}
    for part in components({key: [new for _, new in news] for key, news in ahead.items()}):
        inside = {action(label) for key in part for label, new in ahead[key] if new in part}
        if not inside:
            continue
        always = set.intersection(*({action(label) for label, _ in after[key]} for key in part))
        if always <= inside:
            return True
    return False


def action(label):
    return ("request",) + label[1:] if label[0] in ("holds", "waits", "refused") else label


def components(graph):
    """The sets of states that can reach each other (Kosaraju and Sharir, 1981)."""
    order, visited, back = [], set(), {}
    for key, news in graph.items():
        for new in news:
            back.setdefault(new, []).append(key)
    for root in graph:
        stack = [(root, iter(graph[root]))] if root not in visited else []
        visited.add(root)
        while stack:
            key, news = stack[-1]
            new = next((new for new in news if new not in visited), None)
            if new is None:
                order.append(key)
                stack.pop()
            else:
                visited.add(new)
                stack.append((new, iter(graph[new])))
    taken = set()
    for root in reversed(order):
        if root in taken:
            continue
        part, queue = set(), [root]
        taken.add(root)
        while queue:
            key = queue.pop()
            part.add(key)
            for earlier in back.get(key, ()):
                if earlier not in taken:
                    taken.add(earlier)
                    queue.append(earlier)
        yield part


def main(arguments):
    pairs = list(combinations(range(3), 2))
    scenarios = {
        "two transactions, two shards": [(0, 1)] * 2,
        "three transactions, two shards": [(0, 1)] * 3,
        "three transactions in a ring of three shards": pairs,
    }
    if "--deep" in arguments:
        scenarios["four transactions, two shards"] = [(0, 1)] * 4
    failed = False
    for name, shards_of in scenarios.items():
        what, states, round_and_round = check(shards_of)
        print(f"{what or 'holds'}: {name}: {states} states; the network could delay all for ever: {'yes' if round_and_round else 'no'}", flush=True)
        failed |= what is not None
    what, states, round_and_round = check([(0, 1)] * 3, CLASSIC)
    print(f"{what or 'holds'}: {CLASSIC}: {states} states; the network could delay all for ever: {'yes' if round_and_round else 'no'}")
    for mut, meaning in MUTATIONS.items():
        found = next((result[0] for result in map(lambda s: check(s, mut), scenarios.values()) if result[0]), None)
        print(f"{'caught' if found else 'NOT CAUGHT'}: {mut} ({meaning}): {found}", flush=True)
        failed |= found is None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
