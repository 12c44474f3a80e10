//! Linearizability: there is one order of all commands that respects real time and in which every answer is the one
//! that a single copy would have given (Herlihy and Wing, "Linearizability", 1990, section 2). It includes that no read
//! is stale and that nothing acknowledged is lost.
//!
//! The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of
//! configurations already seen ("Testing for Linearizability", 2017). Keys that no command combines are checked apart
//! from each other: linearizability is local (Herlihy and Wing, theorem 1).
//!
//! A command whose fate is unknown may take effect at any time after its call, or never. One that was refused isn't in
//! the history at all: should it have taken effect, the answers that saw it have no explanation.

use std::collections::BTreeMap;

/// What a single copy would do.
pub trait Model {
    /// Everything that commands can change.
    type State: Clone + Ord;
    /// A command.
    type Action;
    /// An answer.
    type Reply;

    /// Before the first command.
    fn start(&self) -> Self::State;

    /// The states in which `action` may leave `state` if it answered `reply`, or whatever it answered if that is
    /// unknown. None: this answer can't be given here.
    fn step(
        &self,
        state: &Self::State,
        action: &Self::Action,
        reply: Option<&Self::Reply>,
        next: &mut Vec<Self::State>,
    );
}

/// One command of a history.
#[derive(Clone, Debug)]
pub struct Call<A, R> {
    /// When it was sent.
    pub called: u64,
    /// When its answer came; `None` if its fate is unknown.
    pub returned: Option<u64>,
    /// What it does.
    pub action: A,
    /// Its answer; `None` if its fate is unknown.
    pub reply: Option<R>,
    /// An earlier command of this history that takes effect before this one: its predecessor in a pipeline.
    pub after: Option<usize>,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none. The longest order that was found, and the calls none of which could follow it.
    Violated {
        /// Indices of the calls, in order.
        explained: Vec<usize>,
        /// Indices of the calls that should have come next.
        stuck: Vec<usize>,
    },
    /// The search was longer than allowed.
    Undecided,
}

/// How many calls one history may have.
pub const CALLS_MAX: usize = 128;

/// Looks for an order of `calls`, through at most `configurations_max` configurations.
///
/// # Panics
/// If there are more than [`CALLS_MAX`] calls: histories are cut by key before they get there.
pub fn check<M: Model>(model: &M, calls: &[Call<M::Action, M::Reply>], configurations_max: usize) -> Verdict {
    assert!(calls.len() <= CALLS_MAX, "a history of {} calls", calls.len());
    let mut search = Search::new(model, calls);
    let first = search.intern(vec![model.start()]);
    search.run(first, configurations_max)
}

/// A set of calls, by their places in [`Search::order`].
type Mask = u128;

/// Where the search stands: what has taken effect, and the state (a set of states, where the model allows several).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Configuration {
    /// Of the answered calls.
    answered: Mask,
    /// Of those whose fate is unknown.
    unknown: Mask,
    state: u32,
}

struct Search<'a, M: Model> {
    model: &'a M,
    calls: &'a [Call<M::Action, M::Reply>],
    /// The answered calls in the order in which they were sent, then those of unknown fate.
    order: Vec<usize>,
    /// Where each call stands in the order.
    place: Vec<usize>,
    /// How many were answered.
    answered: usize,
    states: Vec<Vec<M::State>>,
    numbers: BTreeMap<Vec<M::State>, u32>,
    /// What each call does to each state, once computed.
    steps: BTreeMap<(u32, u32), Option<u32>>,
    /// For what was answered and the state: which calls of unknown fate had been used up.
    seen: BTreeMap<(Mask, u32), Vec<Mask>>,
}

/// One level of the search: its configuration, and which calls may be the next.
struct Level {
    at: Configuration,
    /// Places, the best last.
    next: Vec<u8>,
    /// The call that led here.
    by: usize,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, calls: &'a [Call<M::Action, M::Reply>]) -> Self {
        let mut order: Vec<usize> = (0..calls.len()).collect();
        order.sort_by_key(|&call| (calls[call].returned.is_none(), calls[call].called));
        let mut place = vec![0; calls.len()];
        (0..).zip(&order).for_each(|(at, &call)| place[call] = at);
        Self {
            model,
            calls,
            answered: calls.iter().filter(|call| call.returned.is_some()).count(),
            order,
            place,
            states: Vec::new(),
            numbers: BTreeMap::new(),
            steps: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    fn intern(&mut self, states: Vec<M::State>) -> u32 {
        if let Some(number) = self.numbers.get(&states) {
            return *number;
        }
        let number = self.states.len() as u32;
        self.states.push(states.clone());
        self.numbers.insert(states, number);
        number
    }

    fn run(&mut self, first: u32, configurations_max: usize) -> Verdict {
        let start = Configuration { answered: 0, unknown: 0, state: first };
        let mut levels = vec![self.level(start, usize::MAX)];
        let mut longest: (Vec<usize>, Configuration) = (Vec::new(), start);
        let mut configurations = 0;
        while let Some(level) = levels.last_mut() {
            if level.at.answered.count_ones() as usize == self.answered {
                return Verdict::Linearizable;
            }
            let at = level.at;
            let Some(place) = level.next.pop() else {
                levels.pop();
                continue;
            };
            let Some(next) = self.follow(at, usize::from(place)) else { continue };
            if !self.is_new(next) {
                continue;
            }
            configurations += 1;
            if configurations > configurations_max {
                return Verdict::Undecided;
            }
            levels.push(self.level(next, self.order[usize::from(place)]));
            if next.answered.count_ones() > longest.1.answered.count_ones() {
                longest = (levels[1..].iter().map(|level| level.by).collect(), next);
            }
        }
        let stuck = self.open(longest.1).map(|place| self.order[place]).collect();
        Verdict::Violated { explained: longest.0, stuck }
    }

    /// Remembers a configuration. It isn't new if the same was reached before with as many calls of unknown fate left,
    /// or more: what failed from there fails from here.
    fn is_new(&mut self, next: Configuration) -> bool {
        let used = self.seen.entry((next.answered, next.state)).or_default();
        if used.iter().any(|earlier| earlier & !next.unknown == 0) {
            return false;
        }
        used.retain(|earlier| next.unknown & !earlier != 0);
        used.push(next.unknown);
        true
    }

    /// The configuration after the call at `place`, if its answer fits.
    fn follow(&mut self, at: Configuration, place: usize) -> Option<Configuration> {
        let call = self.order[place];
        if let Some(before) = self.calls[call].after
            && self.calls[before].returned.is_some()
            && at.answered & bit(self.place[before]) == 0
        {
            return None;
        }
        let state = self.state_after(at.state, call)?;
        if place < self.answered {
            return Some(Configuration { answered: at.answered | bit(place), state, ..at });
        }
        // Taking effect without changing anything explains nothing.
        (state != at.state).then_some(Configuration { unknown: at.unknown | bit(place), state, ..at })
    }

    fn state_after(&mut self, state: u32, call: usize) -> Option<u32> {
        let key = (state, call as u32);
        if let Some(known) = self.steps.get(&key) {
            return *known;
        }
        let mut next = Vec::new();
        for state in &self.states[state as usize] {
            let Call { action, reply, .. } = &self.calls[call];
            self.model.step(state, action, reply.as_ref(), &mut next);
        }
        next.sort();
        next.dedup();
        let number = if next.is_empty() { None } else { Some(self.intern(next)) };
        self.steps.insert(key, number);
        number
    }

    fn level(&self, at: Configuration, by: usize) -> Level {
        let mut next: Vec<u8> = Vec::new();
        let horizon = self.horizon(at);
        for place in self.answered..self.order.len() {
            if at.unknown & bit(place) == 0 && self.at(place).called <= horizon {
                next.push(place as u8);
            }
        }
        let unknown = next.len();
        next.extend(self.open(at).map(|place| place as u8));
        // Whoever was answered first is tried first.
        next[unknown..].sort_by_key(|&place| std::cmp::Reverse(self.at(usize::from(place)).returned));
        Level { at, next, by }
    }

    fn at(&self, place: usize) -> &Call<M::Action, M::Reply> {
        &self.calls[self.order[place]]
    }

    /// The earliest answer among the calls not yet explained: whatever was sent later comes later.
    fn horizon(&self, at: Configuration) -> u64 {
        let mut horizon = u64::MAX;
        for place in at.answered.trailing_ones() as usize..self.answered {
            let call = self.at(place);
            if call.called > horizon {
                break;
            }
            if at.answered & bit(place) == 0 {
                horizon = horizon.min(call.returned.unwrap_or(u64::MAX));
            }
        }
        horizon
    }

    /// The places of answered calls any of which may be the next.
    fn open(&self, at: Configuration) -> impl Iterator<Item = usize> {
        let horizon = self.horizon(at);
        (at.answered.trailing_ones() as usize..self.answered)
            .take_while(move |&place| self.at(place).called <= horizon)
            .filter(move |&place| at.answered & bit(place) == 0)
    }
}

fn bit(place: usize) -> Mask {
    1 << place
}

#[cfg(test)]
mod tests;
