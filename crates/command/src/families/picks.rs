//! Random picks out of a collection: the words of HRANDFIELD and its kin, and which elements they get.
//!
//! What is picked is a function of the seed and of the collection's own order, so that all replicas pick the same.

use crate::error::Error;
use crate::execute::REPLY_BYTES_MAX;
use crate::words::{integer, is};
use base::Rng;
use resp::{Protocol, Writer};
use std::collections::BTreeSet;

/// What is asked for: `[count [WITH…]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// How many different elements; negative: how many picks, each of them among all. Without it, one element.
    pub(crate) count: Option<i64>,
    /// Whether what belongs to each element is answered with it.
    pub(crate) with: bool,
}

impl Ask {
    /// Reads the words; `option` is the name of the one that may follow the count.
    pub(crate) fn parse(words: &[&[u8]], option: &str) -> Result<Self, Error> {
        let Some(count) = words.first() else { return Ok(Self { count: None, with: false }) };
        let count = integer(count)?;
        if count == i64::MIN {
            return Err(Error::Other(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ));
        }
        let with = match &words[1..] {
            [] => false,
            [word] if is(word, option) => true,
            _ => return Err(Error::Syntax),
        };
        if with && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(Error::Other("ERR value is out of range"));
        }
        Ok(Self { count: Some(count), with })
    }

    /// The answer where there is nothing to pick from.
    pub(crate) fn reply_nothing(&self, reply: &mut Writer<'_>) {
        match self.count {
            None => reply.null(),
            Some(_) => reply.array(0),
        }
    }

    /// Announces `picks` picks.
    pub(crate) fn reply_header(&self, picks: usize, reply: &mut Writer<'_>) {
        match self.count {
            None => {}
            Some(_) if self.with && reply.protocol() == Protocol::Resp2 => reply.array(2 * picks),
            Some(_) => reply.array(picks),
        }
    }
}

/// Indexes into a collection.
#[derive(Debug)]
pub(crate) enum Picks {
    /// Each among all, and so perhaps again.
    Repeated {
        /// Decides.
        rng: Rng,
        /// How many elements there are.
        length: u64,
        /// How many picks are left.
        left: usize,
    },
    /// All different, in the collection's order.
    Distinct(std::collections::btree_set::IntoIter<usize>),
    /// All elements.
    All(std::ops::Range<usize>),
}

/// The shortest that an element can be in a reply.
const ELEMENT_BYTES_MIN: u64 = 6;

impl Picks {
    /// Picks what `ask` asks for out of `length` elements, of which there is at least one.
    pub(crate) fn new(ask: &Ask, length: usize, seed: u64) -> Result<Self, Error> {
        let rng = Rng::new(seed);
        match ask.count {
            None => Ok(Picks::Repeated { rng, length: length as u64, left: 1 }),
            Some(count) if count < 0 => {
                let picks = count.unsigned_abs();
                if picks > REPLY_BYTES_MAX as u64 / ELEMENT_BYTES_MIN {
                    return Err(Error::ReplyTooLong);
                }
                Ok(Picks::Repeated { rng, length: length as u64, left: picks as usize })
            }
            Some(count) => Ok(match usize::try_from(count) {
                Ok(count) if count < length => Picks::Distinct(distinct(rng, count, length).into_iter()),
                _ => Picks::All(0..length),
            }),
        }
    }

    /// How many are left.
    pub(crate) fn len(&self) -> usize {
        match self {
            Picks::Repeated { left, .. } => *left,
            Picks::Distinct(indexes) => indexes.len(),
            Picks::All(range) => range.len(),
        }
    }
}

impl Iterator for Picks {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Picks::Repeated { rng, length, left } => {
                *left = left.checked_sub(1)?;
                Some(rng.below(*length) as usize)
            }
            Picks::Distinct(indexes) => indexes.next(),
            Picks::All(range) => range.next(),
        }
    }
}

/// `count` different indexes below `length`, every such set as likely as any other (Floyd's algorithm, in Bentley, 1987).
fn distinct(mut rng: Rng, count: usize, length: usize) -> BTreeSet<usize> {
    let mut indexes = BTreeSet::new();
    for newest in length - count..length {
        let index = rng.below(newest as u64 + 1) as usize;
        indexes.insert(if indexes.contains(&index) { newest } else { index });
    }
    indexes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(count: i64, length: usize, seed: u64) -> Vec<usize> {
        let ask = Ask { count: Some(count), with: false };
        Picks::new(&ask, length, seed).expect("it is no huge count").collect()
    }

    #[test]
    fn every_set_of_distinct_picks_is_as_likely_as_any_other() {
        let mut seen = std::collections::BTreeMap::new();
        for seed in 0..6_000 {
            *seen.entry(picks(2, 4, seed)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|count| (850..1150).contains(count)), "{seen:?}");
    }

    #[test]
    fn a_negative_count_may_pick_one_twice_and_a_large_one_takes_all() {
        assert_eq!(picks(-100, 1, 3), vec![0; 100]);
        let mut some = picks(-100, 5, 3);
        assert_eq!(some.len(), 100);
        some.sort_unstable();
        some.dedup();
        assert_eq!(some, [0, 1, 2, 3, 4]);
        assert_eq!(picks(i64::MAX, 3, 3), [0, 1, 2]);
        assert_eq!(picks(0, 3, 3), []);
    }

    #[test]
    fn more_than_a_reply_may_hold_is_refused_before_anything_is_picked() {
        let ask = Ask { count: Some(-1_000_000_000), with: false };
        assert!(matches!(Picks::new(&ask, 3, 1), Err(Error::ReplyTooLong)));
    }
}
