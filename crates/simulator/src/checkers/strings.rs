//! What a single copy of a few keys would answer, for the search of `super::linearizability`. The meaning of each
//! command is Redis 7.2's (its command reference).
//!
//! A key with a time to live may go at any moment and never comes back by itself: which moment is the business of
//! `super::expiry`. That a key is seen to be gone and then is there again (two replicas with two clocks) has no
//! explanation here.

use super::Finding;
use super::linearizability::{self, Call, Model, Verdict};
use crate::history::{
    Action, Condition, FAMILY_KEYS, History, KeyIndex, Lifetime, Operation, Outcome, Reply,
};
use crate::workload::speech;

/// How many configurations the search may visit for one family.
const CONFIGURATIONS_MAX: usize = 1_000_000;

/// Judges every family of the history.
pub fn check(history: &History) -> Vec<Finding> {
    history
        .families
        .iter()
        .enumerate()
        .filter_map(|(family, operations)| check_family(family, operations))
        .collect()
}

fn check_family(family: usize, operations: &[Operation<Action>]) -> Option<Finding> {
    let mut places = vec![None; operations.len()];
    let mut calls = Vec::new();
    let mut shown = Vec::new();
    for (place, operation) in operations.iter().enumerate() {
        let (returned, reply) = match &operation.outcome {
            Outcome::Done(reply) => (Some(operation.returned), Some(reply.clone())),
            Outcome::Unknown | Outcome::Open if !operation.action.is_read() => (None, None),
            _ => continue,
        };
        places[place] = Some(calls.len());
        let after = operation.after.and_then(|before| places[before]);
        let (called, action) = (operation.called, operation.action.clone());
        calls.push(Call { called, returned, action, reply, after });
        shown.push(operation);
    }
    let complaint = match linearizability::check(&Strings, &calls, CONFIGURATIONS_MAX) {
        Verdict::Linearizable => return None,
        Verdict::Undecided => "the search for an order took too long".to_string(),
        Verdict::Violated { explained, stuck } => {
            let tail = &explained[explained.len().saturating_sub(12)..];
            let mut text =
                format!("no order explains all answers; {} can be explained, at last:", explained.len());
            tail.iter().for_each(|&call| text += &line(family, shown[call]));
            text += "\n  and then none of these can follow:";
            stuck.iter().for_each(|&call| text += &line(family, shown[call]));
            text
        }
    };
    Some(Finding::new("linearizability", format!("keys of family {family}: {complaint}")))
}

fn line(family: usize, operation: &Operation<Action>) -> String {
    let Operation { client, action, called, returned, outcome, .. } = operation;
    let millis = |nanos: u64| nanos as f64 / 1e6;
    let answer = match outcome {
        Outcome::Done(reply) => format!("{:.3} {reply:?}", millis(*returned)),
        _ => "unknown".to_string(),
    };
    let command = speech::text(family, action);
    format!("\n    client {client} at {:.3} ms {command} -> {answer}", millis(*called))
}

/// The model.
pub struct Strings;

/// One key's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    value: Vec<u8>,
    volatile: bool,
}

/// The keys of a family.
pub type Keys = [Option<Item>; FAMILY_KEYS];

impl Model for Strings {
    type State = Keys;
    type Action = Action;
    type Reply = Reply;

    fn start(&self) -> Keys {
        Keys::default()
    }

    fn step(&self, state: &Keys, action: &Action, reply: Option<&Reply>, next: &mut Vec<Keys>) {
        let volatile: Vec<usize> =
            (0..FAMILY_KEYS).filter(|&key| state[key].as_ref().is_some_and(|item| item.volatile)).collect();
        // Every choice of keys whose time has come by now.
        for gone in 0..1u32 << volatile.len() {
            let mut keys = state.clone();
            for (nth, &key) in volatile.iter().enumerate() {
                if gone & (1 << nth) != 0 {
                    keys[key] = None;
                }
            }
            let expected = apply(&mut keys, action);
            if reply.is_none_or(|reply| agree(action, &expected, reply)) {
                next.push(keys);
            }
        }
    }
}

fn agree(action: &Action, expected: &Reply, reply: &Reply) -> bool {
    match (action, expected, reply) {
        // How long is another question; here only whether.
        (Action::TimeToLive(_), Reply::Integer(expected), Reply::Integer(got)) if *expected >= 0 => *got >= 0,
        (_, Reply::Error(expected), Reply::Error(got)) => got.starts_with(expected.as_str()),
        _ => expected == reply,
    }
}

/// What one copy does.
fn apply(keys: &mut Keys, action: &Action) -> Reply {
    match action {
        Action::Get(key) => value_of(at(keys, *key)),
        Action::Length(key) => {
            Reply::Integer(at(keys, *key).as_ref().map_or(0, |item| item.value.len() as i64))
        }
        Action::Set { key, value, condition, get, lifetime } => {
            set(at(keys, *key), value, *condition, *get, *lifetime)
        }
        Action::Append(key, piece) => {
            let item = at(keys, *key).get_or_insert_with(|| plain(b""));
            item.value.extend_from_slice(piece);
            Reply::Integer(item.value.len() as i64)
        }
        Action::Increase(key, by) => increase(at(keys, *key), *by),
        Action::Delete(which) => {
            Reply::Integer(which.iter().filter(|&&key| at(keys, key).take().is_some()).count() as i64)
        }
        Action::Exists(which) => {
            Reply::Integer(which.iter().filter(|&&key| at(keys, key).is_some()).count() as i64)
        }
        Action::GetDelete(key) => value_of(&at(keys, *key).take()),
        Action::GetExpire(key, millis) => {
            let item = at(keys, *key);
            if let Some(item) = item {
                item.volatile = millis.is_some();
            }
            value_of(item)
        }
        Action::GetMany(which) => Reply::Values(
            which.iter().map(|&key| at(keys, key).as_ref().map(|item| item.value.clone())).collect(),
        ),
        Action::SetMany(pairs) => {
            pairs.iter().for_each(|(key, value)| *at(keys, *key) = Some(plain(value)));
            Reply::Ok
        }
        Action::SetManyAbsent(pairs) => {
            let free = pairs.iter().all(|(key, _)| at(keys, *key).is_none());
            if free {
                pairs.iter().for_each(|(key, value)| *at(keys, *key) = Some(plain(value)));
            }
            Reply::Integer(free.into())
        }
        Action::Rename(from, to) => match at(keys, *from).take() {
            Some(item) => {
                *at(keys, *to) = Some(item);
                Reply::Ok
            }
            None => Reply::Error("ERR no such key".into()),
        },
        Action::Copy(from, to, replace) => {
            let source = at(keys, *from).clone();
            let copied = source.is_some() && (*replace || at(keys, *to).is_none());
            if copied {
                *at(keys, *to) = source;
            }
            Reply::Integer(copied.into())
        }
        Action::Expire(key, _) => {
            let item = at(keys, *key);
            if let Some(item) = item {
                item.volatile = true;
            }
            Reply::Integer(item.is_some().into())
        }
        Action::Persist(key) => {
            let had = at(keys, *key).as_mut().is_some_and(|item| std::mem::take(&mut item.volatile));
            Reply::Integer(had.into())
        }
        Action::TimeToLive(key) => Reply::Integer(match at(keys, *key) {
            None => -2,
            Some(item) if item.volatile => 0,
            Some(_) => -1,
        }),
    }
}

fn set(item: &mut Option<Item>, value: &[u8], condition: Condition, get: bool, lifetime: Lifetime) -> Reply {
    let old = value_of(item);
    let holds = match condition {
        Condition::Always => true,
        Condition::Absent => item.is_none(),
        Condition::Present => item.is_some(),
    };
    if holds {
        let volatile = match lifetime {
            Lifetime::Forever => false,
            Lifetime::Keep => item.as_ref().is_some_and(|item| item.volatile),
            Lifetime::Millis(_) => true,
        };
        *item = Some(Item { value: value.to_vec(), volatile });
    }
    match (get, holds) {
        (true, _) => old,
        (false, true) => Reply::Ok,
        (false, false) => Reply::Nil,
    }
}

fn increase(item: &mut Option<Item>, by: i64) -> Reply {
    let old = match item {
        None => Some(0),
        Some(item) => std::str::from_utf8(&item.value).ok().and_then(|text| text.parse::<i64>().ok()),
    };
    let Some(new) = old.and_then(|old| old.checked_add(by)) else {
        return Reply::Error("ERR value is not an integer".into());
    };
    item.get_or_insert_with(|| plain(b"")).value = new.to_string().into_bytes();
    Reply::Integer(new)
}

fn at(keys: &mut Keys, key: KeyIndex) -> &mut Option<Item> {
    &mut keys[usize::from(key)]
}

fn plain(value: &[u8]) -> Item {
    Item { value: value.to_vec(), volatile: false }
}

fn value_of(item: &Option<Item>) -> Reply {
    item.as_ref().map_or(Reply::Nil, |item| Reply::Value(item.value.clone()))
}

#[cfg(test)]
mod tests;
