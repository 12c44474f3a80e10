//! What happens next: events by time, and in the order in which they were planned where the time is the same.

use super::Event;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The events to come.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Planned>,
    planned: u64,
}

#[derive(Debug)]
struct Planned {
    at: u64,
    number: u64,
    event: Event,
}

impl Queue {
    /// Plans an event.
    pub fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        self.heap.push(Planned { at, number: self.planned, event });
    }

    /// Takes out the next event, unless it comes after `end`.
    pub fn next(&mut self, end: u64) -> Option<(u64, Event)> {
        if self.heap.peek()?.at > end {
            return None;
        }
        self.heap.pop().map(|planned| (planned.at, planned.event))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives out its greatest first.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Planned {}
