//! Transactions over several keys take effect in one order that explains all answers and keeps to real time: strict serializability,
//! judged as Elle does for lists that only grow (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations", VLDB 2020; the anomalies' names are Adya's, 1999).
//!
//! Every element is appended once, so a list that was read tells who appended, in which order. From that follows who came before whom:
//! the writer of an element before the writer of the next (ww) and before whoever read it (wr); who didn't see an element before its writer (rw);
//! who was answered before another asked (rt). If the orders of all keys agree with each other and with real time, nothing of this runs in a
//! circle. Unlike the search of `super::linearizability` it grows with the edges, so there may be many keys and many transactions.

use super::Finding;
use crate::history::{Append, Fate, History, Micro};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

/// How long after it was sent a transaction of unknown fate may still take effect.
const AFTERMATH: u64 = 12_000_000_000;

/// Judges all transactions on lists.
pub fn check(history: &History) -> Vec<Finding> {
    let finding = |text| Finding::new("serializability", text);
    Judge::new(&history.appends).and_then(|judge| judge.circle()).err().map(finding).into_iter().collect()
}

struct Judge<'a> {
    all: &'a [Append],
    /// Who appended an element.
    writers: BTreeMap<u64, usize>,
    /// Every key's elements, in the order in which they were appended, as far as anybody saw them.
    orders: BTreeMap<usize, Vec<u64>>,
}

/// Why one comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Because {
    /// It appended before, to this key.
    Ww(usize),
    /// It appended what the other read of this key.
    Wr(usize),
    /// It didn't see what the other appended to this key.
    Rw(usize),
    /// It was answered before the other asked.
    Rt,
}

type Edges = Vec<BTreeMap<usize, Because>>;

impl<'a> Judge<'a> {
    fn new(all: &'a [Append]) -> Result<Self, String> {
        let mut judge = Self { all, writers: BTreeMap::new(), orders: BTreeMap::new() };
        for (number, append) in all.iter().enumerate() {
            for micro in &append.ops {
                if let Micro::Append { element, .. } = micro {
                    judge.writers.insert(*element, number);
                }
            }
        }
        for (number, key, seen) in reads(all) {
            judge.see(number, key, seen)?;
        }
        for (number, append) in all.iter().enumerate().filter(|(_, append)| append.fate == Fate::Done) {
            judge.looks_at_itself(number, append)?;
        }
        judge.nothing_halfway()?;
        judge.nothing_lost()?;
        Ok(judge)
    }

    /// One read: it agrees with all others, and what it saw may have happened.
    fn see(&mut self, number: usize, key: usize, seen: &[u64]) -> Result<(), String> {
        let who = |number: usize| told(number, &self.all[number]);
        let mut once = BTreeSet::new();
        for element in seen {
            if !once.insert(element) {
                return Err(format!("{} saw element {element} twice in list {key}", who(number)));
            }
            let Some(&writer) = self.writers.get(element) else {
                return Err(format!("{} saw element {element}, which nobody has appended", who(number)));
            };
            let to_this = |micro: &Micro| matches!(micro, Micro::Append { key: to, element: this } if to == &key && this == element);
            if !self.all[writer].ops.iter().any(to_this) {
                return Err(format!(
                    "{} saw element {element} in list {key}, where it doesn't belong",
                    who(number)
                ));
            }
            if self.all[writer].fate == Fate::Refused {
                return Err(format!(
                    "{} saw element {element} of {}, which did nothing (G1a)",
                    who(number),
                    who(writer)
                ));
            }
        }
        let order = self.orders.entry(key).or_default();
        let common = order.len().min(seen.len());
        if order[..common] != seen[..common] {
            return Err(format!(
                "{} saw {seen:?} in list {key}, where others saw {order:?}",
                told(number, &self.all[number])
            ));
        }
        if seen.len() > order.len() {
            order.clone_from(&seen.to_vec());
        }
        Ok(())
    }

    /// What a transaction has appended itself it sees, at the end.
    fn looks_at_itself(&self, number: usize, append: &Append) -> Result<(), String> {
        let mut own: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        let mut before: BTreeMap<usize, &[u64]> = BTreeMap::new();
        for micro in &append.ops {
            match micro {
                Micro::Append { key, element } => own.entry(*key).or_default().push(*element),
                Micro::Read { key, seen } => {
                    let mine = own.get(key).map_or(&[][..], Vec::as_slice);
                    let Some(others) = seen.strip_suffix(mine) else {
                        return Err(format!(
                            "{} doesn't see what it has appended itself to list {key}",
                            told(number, append)
                        ));
                    };
                    if *before.entry(*key).or_insert(others) != others {
                        return Err(format!(
                            "{} saw list {key} change by others in between",
                            told(number, append)
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// What one transaction appends to one list stands together.
    fn nothing_halfway(&self) -> Result<(), String> {
        for (number, append) in self.all.iter().enumerate() {
            let mut last: BTreeMap<usize, u64> = BTreeMap::new();
            for micro in &append.ops {
                let Micro::Append { key, element } = micro else { continue };
                let order = self.orders.get(key).map_or(&[][..], Vec::as_slice);
                let place = |element: u64| order.iter().position(|seen| *seen == element);
                if let Some(before) = last.insert(*key, *element)
                    && let Some(first) = place(before)
                    && place(*element) != Some(first + 1)
                {
                    return Err(format!(
                        "{} was seen half done in list {key}: {order:?} (G1b)",
                        told(number, append)
                    ));
                }
            }
        }
        for (number, key, seen) in reads(self.all) {
            let Some(last) = seen.last() else { continue };
            let writer = self.writers[last];
            let appended = self.all[writer].ops.iter().rev().find_map(|micro| match micro {
                Micro::Append { key: to, element } if *to == key => Some(*element),
                _ => None,
            });
            if writer != number && appended != Some(*last) {
                return Err(format!(
                    "{} saw {} half done (G1b)",
                    told(number, &self.all[number]),
                    told(writer, &self.all[writer])
                ));
            }
        }
        Ok(())
    }

    /// What was acknowledged before the last read of a list began is in it; what one of a transaction's lists has, the others have.
    fn nothing_lost(&self) -> Result<(), String> {
        let mut read_last: BTreeMap<usize, u64> = BTreeMap::new();
        for (number, key, _) in reads(self.all) {
            let since = read_last.entry(key).or_default();
            *since = self.all[number].called.max(*since);
        }
        let is_seen =
            |key: &usize, element: &u64| self.orders.get(key).is_some_and(|order| order.contains(element));
        for (number, append) in self.all.iter().enumerate() {
            let happened = append.fate == Fate::Done
                || append
                    .ops
                    .iter()
                    .any(|micro| matches!(micro, Micro::Append { key, element } if is_seen(key, element)));
            for micro in append.ops.iter().filter(|_| happened) {
                let Micro::Append { key, element } = micro else { continue };
                let by = append.returned.unwrap_or(append.called + AFTERMATH);
                let looked = read_last.get(key).is_some_and(|since| by < *since);
                if looked && !is_seen(key, element) {
                    return Err(format!(
                        "element {element} of {} is lost from list {key}",
                        told(number, append)
                    ));
                }
            }
        }
        Ok(())
    }

    fn circle(&self) -> Result<(), String> {
        let edges = self.edges();
        let Some(circle) = shortest_circle(&edges) else { return Ok(()) };
        let mut text = "these came each before the next, and the last before the first:".to_string();
        for (place, &number) in circle.iter().enumerate() {
            let next = circle[(place + 1) % circle.len()];
            let _ = write!(text, "\n    {} [{:?}]", told(number, &self.all[number]), edges[number][&next]);
        }
        Err(text)
    }

    fn edges(&self) -> Edges {
        let mut edges: Edges = vec![BTreeMap::new(); self.all.len()];
        let mut add = |from: usize, to: usize, because: Because| {
            if from != to {
                edges[from].entry(to).or_insert(because);
            }
        };
        for (key, order) in &self.orders {
            for pair in order.windows(2) {
                add(self.writers[&pair[0]], self.writers[&pair[1]], Because::Ww(*key));
            }
        }
        for (number, key, seen) in reads(self.all) {
            let order = self.orders.get(&key).map_or(&[][..], Vec::as_slice);
            // Its own come last, and are its own business.
            let others = seen.iter().filter(|element| self.writers[element] != number).count();
            if others > 0 {
                add(self.writers[&order[others - 1]], number, Because::Wr(key));
            }
            if let Some(next) = order[others..].iter().find(|element| self.writers[element] != number) {
                add(number, self.writers[next], Because::Rw(key));
            }
        }
        // Real time: only the latest that were answered before somebody asked; whoever was answered before they asked follows from them.
        let mut asked: Vec<usize> =
            (0..self.all.len()).filter(|&number| self.all[number].fate != Fate::Refused).collect();
        asked.sort_by_key(|&number| self.all[number].called);
        let mut answered: Vec<usize> =
            asked.iter().copied().filter(|&number| self.all[number].returned.is_some()).collect();
        answered.sort_by_key(|&number| self.all[number].returned);
        for &number in &asked {
            let called = self.all[number].called;
            let before = answered.partition_point(|&other| self.all[other].returned < Some(called));
            let latest =
                answered[..before].iter().map(|&other| self.all[other].called).max().unwrap_or_default();
            for &other in answered[..before].iter().rev() {
                if self.all[other].returned < Some(latest) {
                    break;
                }
                add(other, number, Because::Rt);
            }
        }
        edges
    }
}

/// Every read that was answered: by whom, of what, and what it saw.
fn reads(all: &[Append]) -> impl Iterator<Item = (usize, usize, &[u64])> {
    let done = all.iter().enumerate().filter(|(_, append)| append.fate == Fate::Done);
    done.flat_map(|(number, append)| {
        append.ops.iter().filter_map(move |micro| match micro {
            Micro::Read { key, seen } => Some((number, *key, &seen[..])),
            Micro::Append { .. } => None,
        })
    })
}

/// A shortest circle, if there is any.
fn shortest_circle(edges: &Edges) -> Option<Vec<usize>> {
    // Who has nobody before it, or nobody behind it, is in no circle.
    let mut before = vec![0usize; edges.len()];
    for to in edges.iter().flat_map(BTreeMap::keys) {
        before[*to] += 1;
    }
    let mut free: Vec<usize> = (0..edges.len()).filter(|&number| before[number] == 0).collect();
    let mut bound: BTreeSet<usize> = (0..edges.len()).collect();
    while let Some(number) = free.pop() {
        bound.remove(&number);
        for &to in edges[number].keys() {
            before[to] -= 1;
            if before[to] == 0 {
                free.push(to);
            }
        }
    }
    let circles = bound.iter().filter_map(|&start| circle_through(edges, &bound, start));
    circles.min_by_key(Vec::len)
}

fn circle_through(edges: &Edges, among: &BTreeSet<usize>, start: usize) -> Option<Vec<usize>> {
    let mut from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(number) = queue.pop_front() {
        for &to in edges[number].keys().filter(|to| among.contains(to)) {
            if to == start {
                let mut circle = vec![number];
                while let Some(&previous) = circle.last().and_then(|last| from.get(last)) {
                    circle.push(previous);
                }
                circle.reverse();
                return Some(circle);
            }
            if let std::collections::btree_map::Entry::Vacant(place) = from.entry(to) {
                place.insert(number);
                queue.push_back(to);
            }
        }
    }
    None
}

fn told(number: usize, append: &Append) -> String {
    let millis = |nanos: u64| nanos / 1_000_000;
    let Append { ops, called, returned, fate } = append;
    let until = returned.map(millis);
    format!("transaction {number} ({} to {until:?} ms, {fate:?}) {ops:?}", millis(*called))
}

#[cfg(test)]
mod tests;
