//! LCS: the longest common subsequence of two strings, by the textbook's table.

use crate::error::Error;
use crate::execute::Context;
use crate::families::strings::STRING_BYTES_MAX;
use crate::spec::{self, Flags as F, Group, KeyFlags as K, Place, Spec};
use crate::words::{integer, is};

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[Spec::new(40, "lcs", -3, Group::String, Place::Keys)
    .flags(&[F::READONLY])
    .keys_at(&[spec::at(1, 1, 1, &[K::RO, K::ACCESS])])
    .docs(
        "7.0.0",
        "O(N*M) for strings of N and M bytes",
        "Finds the longest sequence of bytes that two strings have in common.",
    )
    .does(lcs)];

/// What is asked.
#[derive(Default)]
struct Options {
    length: bool,
    index: bool,
    with_lengths: bool,
    length_min: i64,
}

impl Options {
    fn parse(mut rest: &[&[u8]]) -> Result<Self, Error> {
        let mut options = Self::default();
        loop {
            rest = match rest {
                [] => break,
                [word, tail @ ..] if is(word, "len") => {
                    options.length = true;
                    tail
                }
                [word, tail @ ..] if is(word, "idx") => {
                    options.index = true;
                    tail
                }
                [word, tail @ ..] if is(word, "withmatchlen") => {
                    options.with_lengths = true;
                    tail
                }
                [word, value, tail @ ..] if is(word, "minmatchlen") => {
                    options.length_min = integer(value)?.max(0);
                    tail
                }
                _ => return Err(Error::Syntax),
            };
        }
        if options.length && options.index {
            return Err(Error::Other("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}

fn lcs(c: &mut Context<'_>) -> Result<(), Error> {
    let string = |key| {
        c.db.string(key)
            .map(Option::unwrap_or_default)
            .map_err(|_| Error::Other("ERR The specified keys must contain string values"))
    };
    let (a, b) = (string(c.args[1])?, string(c.args[2])?);
    let options = Options::parse(&c.args[3..])?;
    let table = Table::new(a, b)?;
    if options.length {
        c.reply.count(u64::from(table.length()));
    } else if options.index {
        let mut matches = table.matches(a, b);
        matches.retain(|found| found.length as i64 >= options.length_min);
        c.reply.map(2);
        c.reply.text("matches");
        c.reply.array(matches.len());
        for found in &matches {
            c.reply.array(if options.with_lengths { 3 } else { 2 });
            for start in [found.in_a, found.in_b] {
                c.reply.array(2);
                c.reply.count(start as u64);
                c.reply.count((start + found.length - 1) as u64);
            }
            if options.with_lengths {
                c.reply.count(found.length as u64);
            }
        }
        c.reply.text("len");
        c.reply.count(u64::from(table.length()));
    } else {
        c.reply.bulk(&table.sequence(a, b));
    }
    Ok(())
}

/// The lengths of the longest common subsequences of all pairs of beginnings.
struct Table {
    width: usize,
    lengths: Vec<u32>,
}

/// A run of bytes that both strings have.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    in_a: usize,
    in_b: usize,
    length: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Result<Self, Error> {
        const TOO_MUCH: Error =
            Error::Other("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        let width = b.len() + 1;
        let cells = (a.len() + 1).checked_mul(width).ok_or(TOO_MUCH)?;
        if cells > STRING_BYTES_MAX / size_of::<u32>() {
            return Err(TOO_MUCH);
        }
        let mut lengths = vec![0; cells];
        for (row, byte) in a.iter().enumerate() {
            let (above, below) = lengths[row * width..(row + 2) * width].split_at_mut(width);
            for (column, other) in b.iter().enumerate() {
                below[column + 1] =
                    if byte == other { above[column] + 1 } else { above[column + 1].max(below[column]) };
            }
        }
        Ok(Self { width, lengths })
    }

    fn at(&self, in_a: usize, in_b: usize) -> u32 {
        self.lengths[in_a * self.width + in_b]
    }

    fn length(&self) -> u32 {
        self.lengths[self.lengths.len() - 1]
    }

    /// Walks back from the ends of both strings, and shows the places of each byte that is in the sequence. Where
    /// there is a choice it goes back in `b`, as Redis does.
    fn walk(&self, a: &[u8], b: &[u8], mut show: impl FnMut(usize, usize)) {
        let (mut in_a, mut in_b) = (a.len(), b.len());
        while in_a > 0 && in_b > 0 {
            if a[in_a - 1] == b[in_b - 1] {
                in_a -= 1;
                in_b -= 1;
                show(in_a, in_b);
            } else if self.at(in_a - 1, in_b) > self.at(in_a, in_b - 1) {
                in_a -= 1;
            } else {
                in_b -= 1;
            }
        }
    }

    fn sequence(&self, a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length() as usize);
        self.walk(a, b, |in_a, _| bytes.push(a[in_a]));
        bytes.reverse();
        bytes
    }

    /// The runs, from the last to the first.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let mut runs: Vec<Match> = Vec::new();
        self.walk(a, b, |in_a, in_b| match runs.last_mut() {
            Some(run) if run.in_a == in_a + 1 && run.in_b == in_b + 1 => {
                *run = Match { in_a, in_b, length: run.length + 1 };
            }
            _ => runs.push(Match { in_a, in_b, length: 1 }),
        });
        runs
    }
}

#[cfg(test)]
mod tests;
