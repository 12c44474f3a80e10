//! What was observed, judged: strict serializability of lists that are appended to, by the graph of who must come before whom (Adya,
//! 1999; Alvaro and Kingsbury's Elle, 2020). Every value is appended once, so a list says in which order they came.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One transaction as its client saw it.
#[derive(Clone, Debug)]
pub struct Observed {
    pub name: u64,
    /// When it began, in nanoseconds.
    pub began: u64,
    /// When the client was answered; `None` if it never heard what came of it.
    pub ended: Option<u64>,
    /// What it read, each list as it was before its own changes.
    pub reads: Vec<(Bytes, Vec<u64>)>,
    pub appends: Vec<(Bytes, u64)>,
}

/// Checks that all these took effect, each at one moment between beginning and end. `finally`: the lists at the end.
pub fn check_strictly_serializable(
    all: &[Observed],
    finally: &BTreeMap<Bytes, Vec<u64>>,
) -> Result<(), String> {
    let writer: BTreeMap<u64, usize> = all
        .iter()
        .enumerate()
        .flat_map(|(at, observed)| observed.appends.iter().map(move |(_, value)| (*value, at)))
        .collect();
    let mut edges: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); all.len()];
    let mut edge = |from: usize, to: usize| {
        if from != to {
            edges[from].insert(to);
        }
    };
    for list in finally.values() {
        for pair in list.windows(2) {
            edge(
                *writer.get(&pair[0]).ok_or("a value from nowhere")?,
                *writer.get(&pair[1]).ok_or("a value from nowhere")?,
            );
        }
    }
    let nothing = Vec::new();
    for (at, observed) in all.iter().enumerate() {
        for (key, seen) in &observed.reads {
            let list = finally.get(key).unwrap_or(&nothing);
            if !list.starts_with(seen) {
                return Err(format!("{} read {seen:?} of {key:?}, which became {list:?}", observed.name));
            }
            if let Some(last) = seen.last() {
                edge(writer[last], at);
            }
            if let Some(next) = list.get(seen.len()) {
                edge(at, writer[next]);
            }
        }
    }
    for (before, first) in all.iter().enumerate() {
        for (after, second) in all.iter().enumerate() {
            if first.ended.is_some_and(|ended| ended < second.began) {
                edge(before, after);
            }
        }
    }
    // Kahn's algorithm: what can't be put in an order is a circle.
    let mut incoming = vec![0usize; all.len()];
    edges.iter().flatten().for_each(|to| incoming[*to] += 1);
    let mut free: Vec<usize> = (0..all.len()).filter(|at| incoming[*at] == 0).collect();
    let mut ordered = 0;
    while let Some(at) = free.pop() {
        ordered += 1;
        for to in &edges[at] {
            incoming[*to] -= 1;
            if incoming[*to] == 0 {
                free.push(*to);
            }
        }
    }
    if ordered == all.len() {
        return Ok(());
    }
    let shortest = (0..all.len())
        .filter(|at| incoming[*at] > 0)
        .filter_map(|at| circle(at, &edges))
        .min_by_key(Vec::len);
    let names: Vec<String> = shortest
        .unwrap_or_default()
        .into_iter()
        .map(|at| {
            let Observed { name, began, ended, reads, appends } = &all[at];
            format!("{name}, from {began} to {ended:?}: reads {reads:?}, appends {appends:?}")
        })
        .collect();
    Err(format!(
        "each of these must come before the next, and the last before the first:\n{}",
        names.join("\n")
    ))
}

/// The shortest way from a transaction back to itself.
fn circle(start: usize, edges: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in &edges[*way.last()?] {
            if *next == start {
                return Some(way);
            }
            if seen.insert(*next) {
                ways.push_back(way.iter().copied().chain([*next]).collect());
            }
        }
    }
    None
}
