//! Commands whose keys lie on several shards, and that can't be split by key: RENAME, SUNIONSTORE, SORT … BY, and transactions with such a
//! command in them. (DESIGN.md, section 7; `docs/decisions/0011-computing-over-shards.md`.)
//!
//! A run asks the leaders of the shards for the values, with their versions; runs its commands here, on a [`crate::scratch::Scratch`]; and has the shards
//! check the versions and do what the commands did, as one transaction, which is one that only reads if they did nothing. If
//! something has changed meanwhile, it begins anew with fresh values.
//!
//! Runs of this node that change one key take turns, in the order in which they came: they would only stop each other. Runs of several
//! nodes may do so, and then rest for a moment by chance; one of them always comes through.

use crate::api::ClientId;
use crate::blocking::is_nothing;
use crate::clients::Ticket;
use crate::commits::After;
use crate::gateway::WRITE_BYTES_MAX;
use crate::hub::Waiter;
use crate::lanes;
use crate::node::Node;
use crate::op::{Op, Wanted, What, encode_op};
use crate::scratch::fetch::{self, Fetched, SCRATCH_BYTES_MAX};
use crate::scratch::{Halt, Request, Scratch, Share, Where};
use crate::scripts::Told;
use crate::transactions::CHANGING;
use crate::users::Access;
use crate::users::log::Context;
use crate::waitlist::KeyOf;
use base::{DatabaseId, Duration, GroupId, Time, UnixMillis};
use bytes::Bytes;
use command::Place;
use command::spec::KeyFlags;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A question about more keys is split, so that no message becomes too large.
const QUESTION_BYTES_MAX: usize = 1 << 20;
/// After so many tries in a row, a run rests for a moment before the next.
const TRIES_AT_ONCE: u32 = 3;
/// The longest rest, in milliseconds.
const REST_MS_MAX: u64 = 64;

/// The most memory that the values of all runs of a node may take together, about: more wait until others have ended.
const SCRATCHES_BYTES_MAX: u64 = 8 * SCRATCH_BYTES_MAX;

/// The runs of this node.
#[derive(Debug, Default)]
pub struct Runs {
    live: BTreeMap<u64, Run>,
    /// What their scratches hold.
    bytes: u64,
    next: u64,
    /// Who has its turn at a key: the first.
    turns: BTreeMap<KeyOf, VecDeque<u64>>,
    resting: BTreeSet<(Time, u64)>,
}

/// For whom something runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    /// A client's command.
    Client(Ticket),
    /// A client's transaction.
    Exec(Ticket),
    /// A blocking command's try.
    Blocked {
        /// Which command.
        id: u64,
        /// Whether it has waited.
        waited: bool,
    },
}

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) whose: Whose,
    pub(crate) requests: Vec<Request>,
    /// Keys that must have these versions, or nothing runs.
    pub(crate) watched: Vec<(DatabaseId, Bytes, u64)>,
    /// Who asks, if it may not do everything: what scripts may do.
    pub(crate) user: Option<Arc<Access>>,
}

#[derive(Debug)]
struct Run {
    /// Decides what scripts leave to chance, in every try alike.
    seed: u64,
    /// What scripts have said, told once what they did has taken effect.
    told: Told,
    plan: Plan,
    since: Time,
    tries: u32,
    /// Not here while the commands run on it.
    scratch: Option<Box<Scratch>>,
    /// What it wants to know of which keys; it only grows.
    wanted: BTreeMap<KeyOf, What>,
    /// The latest time of any shard that has answered.
    latest: UnixMillis,
    /// Answers of earlier rounds are of no interest.
    round: u32,
    /// How many questions have been asked in this try.
    questions: usize,
    /// Keys at which it takes turns.
    turns: Vec<KeyOf>,
    /// What its scratch holds, as it was counted.
    bytes: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Another one has its turn, or it rests.
    Waiting,
    /// Values are on their way.
    Fetching(Asked),
    /// Its scripts are at the driver's.
    Running,
    /// It has run. What it did is on its way, and the shards look whether the values were of one moment.
    Committing(Vec<Vec<u8>>),
}

/// Questions under way.
#[derive(Debug)]
struct Asked {
    parts: Vec<Vec<(DatabaseId, Bytes, What)>>,
    answers: Vec<Option<Bytes>>,
}

impl Runs {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// When its client asked.
    pub(crate) fn since(&self, id: u64) -> Option<Time> {
        Some(self.live.get(&id)?.since)
    }

    /// When the first of those that rest goes on.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.resting.first().map(|(at, _)| *at)
    }

    /// Whose it is.
    pub(crate) fn whose(&self, id: u64) -> Option<Whose> {
        Some(self.live.get(&id)?.plan.whose)
    }

    /// Takes a place behind those that came before.
    fn queue(&mut self, id: u64, keys: &[KeyOf]) {
        for key in keys {
            self.turns.entry(key.clone()).or_default().push_back(id);
        }
    }

    fn has_turn(&self, id: u64) -> bool {
        let Some(run) = self.live.get(&id) else { return false };
        run.turns.iter().all(|key| self.turns.get(key).and_then(VecDeque::front) == Some(&id))
    }

    /// A run is over; answers those that may have their turn now.
    fn remove(&mut self, id: u64) -> Option<(Run, BTreeSet<u64>)> {
        let run = self.live.remove(&id)?;
        self.bytes -= run.bytes;
        let mut next = BTreeSet::new();
        for key in &run.turns {
            let Some(queue) = self.turns.get_mut(key) else { continue };
            if queue.front() == Some(&id) {
                queue.pop_front();
            } else {
                queue.retain(|other| *other != id);
            }
            next.extend(queue.front());
            if queue.is_empty() {
                self.turns.remove(key);
            }
        }
        Some((run, next))
    }
}

impl Run {
    /// A fresh beginning; what it wants to know stays known.
    fn begin_try(&mut self) {
        self.latest = UnixMillis(0);
        self.questions = 0;
    }
}

/// What a run wants to know before it begins.
pub(crate) fn wanted_by(requests: &[Request], watched: &[(DatabaseId, Bytes, u64)]) -> BTreeMap<KeyOf, What> {
    let mut wanted = BTreeMap::<KeyOf, What>::new();
    for (database, key, _) in watched {
        wanted.insert((*database, key.clone()), What::Version);
    }
    for request in requests {
        let invocation = request.invocation();
        let places = request.spec.key_places(&invocation.words);
        for (nth, place) in places.iter().enumerate() {
            let overwritten = place.flags.has(KeyFlags::OW) || place.flags.has(KeyFlags::RM);
            let what = if overwritten { What::Shape } else { What::Value };
            let mut note = |database| {
                let name = (database, request.words[place.index].clone());
                let known = wanted.entry(name).or_insert(what);
                *known = what.max(*known);
            };
            // COPY and MOVE name the key in the other database last.
            match request.target {
                Some(target) if nth + 1 == places.len() => {
                    note(target);
                    if places.len() == 1 {
                        note(request.database);
                    }
                }
                _ => note(request.database),
            }
        }
    }
    wanted
}

/// What is said where others were faster for too long.
fn busy() -> Bytes {
    Bytes::from_static(
        b"-TRYAGAIN not executed: others have changed its keys again and again for as long as a request may take; retry\r\n",
    )
}

/// What is said where a script runs for as long as a request may take.
fn too_long() -> Bytes {
    Bytes::from_static(
        b"-ERR the script was ended, and nothing that it did took effect: it ran for as long as a request may take \
          (request-timeout)\r\n",
    )
}

impl Node {
    /// Begins a run.
    pub(crate) fn start_run(&mut self, plan: Plan) {
        let Some(place) = self.place_of_scratches() else {
            // Without a shard's copy or meta the node isn't ready.
            return self.end_run_for(plan.whose, Err(lanes::try_again()));
        };
        // Not since it arrived: it may have waited for thousands before it on its connection, each of which took a moment.
        let since = self.hub.now;
        let wanted = wanted_by(&plan.requests, &plan.watched);
        let changes = plan.requests.iter().any(|request| {
            request.spec.is_write() || request.spec.place == Place::Script && !request.spec.is_readonly()
        });
        let turns: Vec<KeyOf> = if changes {
            wanted.iter().filter(|(_, what)| **what != What::Version).map(|(key, _)| key.clone()).collect()
        } else {
            Vec::new()
        };
        let scratch = Some(Box::new(Scratch::new(place, self.hub.rng.next_u64())));
        self.runs.next += 1;
        let id = self.runs.next;
        self.runs.queue(id, &turns);
        let run = Run {
            seed: self.hub.rng.next_u64(),
            told: Told::default(),
            plan,
            since,
            tries: 0,
            scratch,
            wanted,
            latest: UnixMillis(0),
            round: 0,
            questions: 0,
            turns,
            bytes: 0,
            stage: Stage::Waiting,
        };
        self.runs.live.insert(id, run);
        self.take_turn(id);
    }

    fn place_of_scratches(&self) -> Option<Where> {
        let hash_key = self.meta()?.hash_key();
        Some(Where { hash_key, slots: self.view.slots.clone(), encodings: self.hub.encodings })
    }

    /// Begins a try, if nobody is before it.
    fn take_turn(&mut self, id: u64) {
        if !self.runs.has_turn(id) {
            base::mark!("a_run_waits_for_its_turn");
            return;
        }
        let Some(run) = self.runs.live.get_mut(&id).filter(|run| matches!(run.stage, Stage::Waiting)) else {
            return;
        };
        run.begin_try();
        let all: Vec<_> =
            run.wanted.iter().map(|((database, key), what)| (*database, key.clone(), *what)).collect();
        self.ask(id, all);
    }

    /// Asks the shards of these keys.
    fn ask(&mut self, id: u64, keys: Vec<(DatabaseId, Bytes, What)>) {
        let mut by_group = BTreeMap::<GroupId, Vec<(usize, Vec<_>)>>::new();
        for question in keys {
            let parts = by_group.entry(self.view.slots.group_of_key(&question.1)).or_default();
            let bytes = question.1.len();
            match parts.last_mut().filter(|(sum, _)| sum + bytes <= QUESTION_BYTES_MAX) {
                Some((sum, part)) => {
                    *sum += bytes;
                    part.push(question);
                }
                None => parts.push((bytes, vec![question])),
            }
        }
        let flat = by_group
            .into_iter()
            .flat_map(|(group, parts)| parts.into_iter().map(move |part| (group, part.1)));
        let (groups, parts): (Vec<GroupId>, Vec<Vec<_>>) = flat.unzip();
        let Some(run) = self.runs.live.get_mut(&id) else { return };
        run.round += 1;
        run.questions += parts.len();
        let round = run.round;
        let mut queries = Vec::new();
        for part in &parts {
            let wanted =
                part.iter().map(|(database, key, what)| Wanted { database: *database, key, what: *what });
            let mut query = Vec::new();
            encode_op(&mut query, &Op::Fetch(wanted.collect()));
            queries.push(Bytes::from(query));
        }
        run.stage = Stage::Fetching(Asked { answers: vec![None; parts.len()], parts });
        if queries.is_empty() {
            // Words that say nothing of keys: the command has something to say about them.
            return self.run_has_values(id);
        }
        for (part, (group, query)) in groups.into_iter().zip(queries).enumerate() {
            let waiter = Waiter::Run { run: id, round, part: part as u32 };
            self.query(group, waiter, query, false);
        }
    }

    /// An answer has come.
    pub(crate) fn run_answered(&mut self, id: u64, round: u32, part: u32, reply: Result<Bytes, Bytes>) {
        let Some(run) = self.runs.live.get_mut(&id).filter(|run| run.round == round) else { return };
        let reply = match reply {
            Ok(reply) => reply,
            // Nothing was done, and it may be asked again.
            Err(error) if is_passing(&error) => return self.run_again(id),
            Err(error) => return self.end_run(id, Err(error)),
        };
        match &mut run.stage {
            Stage::Waiting | Stage::Running => {}
            Stage::Fetching(asked) => {
                let Some(place) = asked.answers.get_mut(part as usize) else { return };
                *place = Some(reply);
                if asked.answers.iter().all(Option::is_some) {
                    self.run_has_values(id);
                }
            }
            Stage::Committing(_) => {}
        }
    }

    /// All answers to the present questions are here.
    fn run_has_values(&mut self, id: u64) {
        let Some(run) = self.runs.live.get_mut(&id) else { return };
        match std::mem::replace(&mut run.stage, Stage::Waiting) {
            Stage::Fetching(asked) => {
                let keys = run.read(&asked);
                let (Some(keys), Some(mut scratch)) = (keys, run.scratch.take()) else {
                    return self.end_run(id, Err(unknown_answer()));
                };
                for fetched in keys {
                    let name = (fetched.database, fetched.key.clone());
                    if run.is_fooled(&fetched) {
                        return self.end_run(id, Ok(Vec::new()));
                    }
                    let wanted = run.wanted.get(&name).is_some_and(|what| *what != What::Version);
                    if wanted && !scratch.insert(fetched) {
                        run.scratch = Some(scratch);
                        return self.run_again(id);
                    }
                }
                let bytes = scratch.bytes();
                run.scratch = Some(scratch);
                if bytes > SCRATCH_BYTES_MAX {
                    return self.end_run(id, Err(fetch::too_large()));
                }
                let others = self.runs.bytes - run.bytes;
                if others > 0 && others + bytes > SCRATCHES_BYTES_MAX {
                    base::mark!("a_run_waits_for_memory");
                    return self.run_again(id);
                }
                self.runs.bytes = others + bytes;
                run.bytes = bytes;
                self.compute(id);
            }
            stage => run.stage = stage,
        }
    }

    /// Runs the commands on what is held.
    fn compute(&mut self, id: u64) {
        let Some(run) = self.runs.live.get_mut(&id) else { return };
        let Some(mut scratch) = run.scratch.take() else { return };
        if run.plan.requests.iter().any(|request| request.spec.place == Place::Script) {
            run.stage = Stage::Running;
            let (round, seed, user) = (run.round, run.seed, run.plan.user.clone());
            let (requests, latest) = (run.plan.requests.clone(), run.latest);
            let time = self.hub.time_from(latest);
            return self.work_on((id, round), scratch, &requests, (time, seed), user);
        }
        let outcome = match scratch.begin(self.hub.time_from(run.latest)) {
            Ok(()) => {
                let waited = matches!(run.plan.whose, Whose::Blocked { waited: true, .. });
                let requests = run.plan.requests.iter();
                requests.map(|request| scratch.run(&request.invocation(), waited)).collect()
            }
            Err(_) => Err(Halt::Failed(unknown_answer())),
        };
        let round = run.round;
        self.computed(id, round, scratch, outcome);
    }

    /// The driver has run the scripts of this round.
    pub(crate) fn run_worked(
        &mut self,
        id: u64,
        round: u32,
        scratch: Option<Box<Scratch>>,
        outcome: Result<Vec<Vec<u8>>, Halt>,
        mut told: Told,
    ) {
        let Some(run) = self.runs.live.get_mut(&id).filter(|run| run.round == round) else { return };
        let Some(scratch) = scratch else { return self.end_run(id, Err(lanes::try_again())) };
        let denied = std::mem::take(&mut told.denied);
        run.told = told;
        if let Whose::Client(ticket) | Whose::Exec(ticket) = run.plan.whose
            && outcome.is_ok()
        {
            for (spec, words, denied) in denied {
                let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
                self.note_denied(ticket.slot(), spec, &words, denied, Context::Script);
            }
        }
        self.computed(id, round, scratch, outcome);
    }

    /// The commands have run on the scratch of this round, to their end or not.
    fn computed(&mut self, id: u64, round: u32, scratch: Box<Scratch>, outcome: Result<Vec<Vec<u8>>, Halt>) {
        let Some(run) = self.runs.live.get_mut(&id) else { return };
        run.scratch = Some(scratch);
        if run.round != round {
            return;
        }
        match outcome {
            Ok(replies) => self.run_has_run(id, replies),
            Err(Halt::Needs(needs)) => {
                base::mark!("a_run_needs_more_keys");
                if self.hub.now.since(run.since) >= self.hub.config.request_timeout {
                    return self.end_run(id, Err(busy()));
                }
                let more = needs.0.into_iter().map(|(database, key)| (database, key, What::Value));
                let more: Vec<_> = more.collect();
                for (database, key, what) in &more {
                    run.wanted.insert((*database, key.clone()), *what);
                }
                self.ask(id, more);
            }
            Err(Halt::Failed(error)) => self.end_run(id, Err(error)),
        }
    }

    /// The commands have run; their effects must take place, or what they have read be of one moment.
    fn run_has_run(&mut self, id: u64, mut replies: Vec<Vec<u8>>) {
        let Some(run) = self.runs.live.get_mut(&id) else { return };
        let Some(scratch) = &mut run.scratch else { return };
        let waits = match run.plan.whose {
            // That it looks once more changes nothing (XREADGROUP notes when a consumer has asked, and would wake itself by that).
            Whose::Blocked { waited, .. } => waited || !scratch.has_effects(),
            Whose::Client(_) | Whose::Exec(_) => false,
        };
        let nothing_to_take = waits && replies.iter().all(|reply| is_nothing(reply));
        if nothing_to_take {
            // It waits, and will look again.
            if let ([request], [reply]) = (&run.plan.requests[..], &mut replies[..]) {
                let words = scratch.blocking_words(&request.invocation());
                crate::machine::push_words(words.unwrap_or_default(), reply);
            }
            return self.end_run(id, Ok(replies));
        }
        // One answer of one shard is of one moment.
        if scratch.has_effects() || run.questions > 1 {
            self.commit_run(id, replies);
        } else {
            self.end_run(id, Ok(replies));
        }
    }

    fn commit_run(&mut self, id: u64, replies: Vec<Vec<u8>>) {
        let Some(run) = self.runs.live.get_mut(&id) else { return };
        let Some(scratch) = &run.scratch else { return };
        let mut shares = scratch.shares();
        for (database, key, version) in &run.plan.watched {
            let share = shares.entry(self.view.slots.group_of_key(key)).or_default();
            share.watched.push((*database, key.clone(), *version));
        }
        #[cfg(feature = "bugs")]
        if self.hub.config.bugs.runs_ignore_versions {
            shares.values_mut().for_each(|share| share.watched.clear());
        }
        if let Some(bytes) = shares.values().map(Share::len).find(|bytes| *bytes > WRITE_BYTES_MAX) {
            let error = format!(
                "-ERR not executed: what it does to one shard takes {bytes} bytes, and write-bytes-max is {WRITE_BYTES_MAX}, \
                 the most that one log entry takes\r\n"
            );
            return self.end_run(id, Err(error.into()));
        }
        run.round += 1;
        run.stage = Stage::Committing(replies);
        let (since, after) = (run.since, After::Run(id, run.round));
        let parts = shares.iter().map(|(group, share)| (*group, share.transaction()));
        self.commit_parts(after, since, parts.collect());
    }

    /// What came of the commit: whether all was unchanged, and so is done.
    pub(crate) fn run_committed(&mut self, id: u64, round: u32, done: Result<bool, Bytes>) {
        let Some(run) = self.runs.live.get_mut(&id).filter(|run| run.round == round) else { return };
        match (done, &mut run.stage) {
            (Ok(true), Stage::Committing(replies)) => {
                let replies = std::mem::take(replies);
                self.end_run(id, Ok(replies));
            }
            (Ok(_), _) => self.run_again(id),
            (Err(error), _) if is_passing(&error) => self.run_again(id),
            (Err(error), _) => self.end_run(id, Err(error)),
        }
    }

    /// Others have changed something meanwhile: everything begins anew, with fresh values.
    fn run_again(&mut self, id: u64) {
        let now = self.hub.now;
        let Some(run) = self.runs.live.get_mut(&id) else { return };
        base::mark!("a_run_begins_anew");
        run.tries += 1;
        run.round += 1;
        run.stage = Stage::Waiting;
        // Who waits holds nothing.
        self.runs.bytes -= std::mem::take(&mut run.bytes);
        if let Some(scratch) = &mut run.scratch {
            scratch.clear();
        }
        if now.since(run.since) >= self.hub.config.request_timeout {
            return self.end_run(id, Err(busy()));
        }
        let gone = match run.plan.whose {
            Whose::Client(ticket) | Whose::Exec(ticket) => self.hub.clients.of(ticket).is_none(),
            Whose::Blocked { .. } => false,
        };
        if gone {
            return self.end_run(id, Err(busy()));
        }
        let Some(more) = run.tries.checked_sub(TRIES_AT_ONCE) else { return self.take_turn(id) };
        let most = REST_MS_MAX.min(1 << more.min(16));
        let rest = Duration::from_micros(1 + self.hub.rng.below(most * 1000));
        self.runs.resting.insert((now + rest, id));
    }

    /// Goes on with runs that have rested.
    pub(crate) fn wake_runs(&mut self) {
        while let Some((at, id)) = self.runs.resting.first().copied().filter(|(at, _)| *at <= self.hub.now) {
            self.runs.resting.remove(&(at, id));
            self.take_turn(id);
        }
    }

    /// Ends runs that have waited for their turn for too long.
    pub(crate) fn tend_runs(&mut self) {
        self.note_busy_scripts();
        let (now, limit) = (self.hub.now, self.hub.config.request_timeout);
        let waiting =
            self.runs.live.iter().filter(|(_, run)| matches!(run.stage, Stage::Waiting | Stage::Running));
        let over = waiting.filter(|(_, run)| now.since(run.since) >= limit);
        let over = over.map(|(id, run)| (*id, matches!(run.stage, Stage::Running)));
        for (id, runs) in over.collect::<Vec<(u64, bool)>>() {
            self.scripts.abandon(id);
            self.end_run(id, Err(if runs { too_long() } else { busy() }));
        }
    }

    fn end_run(&mut self, id: u64, outcome: Result<Vec<Vec<u8>>, Bytes>) {
        let Some((mut run, next)) = self.runs.remove(id) else { return };
        if outcome.as_ref().is_ok_and(|replies| !replies.is_empty()) {
            self.tell(std::mem::take(&mut run.told));
        }
        if let (Whose::Client(ticket), [request]) = (run.plan.whose, &run.plan.requests[..])
            && self.is_slow(self.hub.now.since(run.since))
        {
            let words: Vec<&[u8]> = request.words.iter().map(|word| &word[..]).collect();
            self.note_slow_answer(ticket, run.since, request.spec, &words);
        }
        self.end_run_for(run.plan.whose, outcome);
        for id in next {
            self.take_turn(id);
        }
    }

    /// Tells whoever waits what came of it: the replies of its commands, none if a watched key had changed.
    fn end_run_for(&mut self, whose: Whose, outcome: Result<Vec<Vec<u8>>, Bytes>) {
        match whose {
            Whose::Client(ticket) => {
                let reply = match &outcome {
                    Ok(replies) => replies.first().map_or(&b""[..], |reply| &reply[..]),
                    Err(error) => error,
                };
                self.hub.clients.answer(ticket, reply);
            }
            Whose::Exec(ticket) => self.executed_here(ticket, outcome),
            Whose::Blocked { id, .. } => {
                let reply = outcome.map(|replies| replies.into_iter().next().unwrap_or_default().into());
                self.blocked_tried(id, reply);
            }
        }
    }

    /// The client of a run, as far as it has one of its own.
    pub(crate) fn client_of_run(&self, id: u64) -> Option<ClientId> {
        match self.runs.whose(id)? {
            Whose::Client(ticket) | Whose::Exec(ticket) => Some(ticket.client()),
            Whose::Blocked { id, .. } => self.blocked.client_of(id),
        }
    }
}

impl Run {
    /// What the shards have answered; nothing if it can't be read.
    fn read(&mut self, asked: &Asked) -> Option<Vec<Fetched>> {
        let mut all = Vec::new();
        for (part, answer) in asked.parts.iter().zip(&asked.answers) {
            let answer = fetch::read(answer.as_ref()?, part).ok()?;
            self.latest = self.latest.max(answer.time);
            all.extend(answer.keys);
        }
        Some(all)
    }

    /// Whether its client watches this key, and has seen another version.
    fn is_fooled(&self, fetched: &Fetched) -> bool {
        self.plan.watched.iter().any(|(database, key, version)| {
            (*database, key) == (fetched.database, &fetched.key)
                && *version != fetched.version
                && fetched.version != CHANGING
        })
    }
}

/// Whether an error says that nothing was done, and that it may be tried again: a leader has changed, or a transaction holds a key.
fn is_passing(error: &[u8]) -> bool {
    error.starts_with(b"-TRYAGAIN ")
}

pub(crate) fn unknown_answer() -> Bytes {
    Bytes::from_static(b"-ERR a node of another release answered something unknown\r\n")
}
