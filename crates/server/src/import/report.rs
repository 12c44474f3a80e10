//! What a person is told: how far it is, on the way and at the end.

use crate::shown::{bytes, elapsed, grouped, keys};
use serde::{Deserialize, Serialize};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a terminal's line is written anew.
const LINE_EVERY: Duration = Duration::from_millis(200);
/// How often a line is written where lines stay.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// What came of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Keys that were found.
    pub read: u64,
    /// Keys that are in.
    pub imported: u64,
    /// Keys that were there already, and were kept.
    pub kept: u64,
    /// Keys that had expired.
    pub expired: u64,
    /// Keys of databases that weren't asked for.
    pub unwanted: u64,
    /// Keys with values that only a module knows, or without any element.
    pub unreadable: u64,
    /// Libraries of functions, and data of modules, that weren't taken.
    pub left_out: u64,
}

impl Counts {
    /// Adds what came of other keys.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.imported += other.imported;
        self.kept += other.kept;
        self.expired += other.expired;
        self.unwanted += other.unwanted;
        self.unreadable += other.unreadable;
        self.left_out += other.left_out;
    }

    /// Whether something of the source is missing that was wanted.
    pub fn is_incomplete(&self) -> bool {
        self.unreadable + self.left_out > 0
    }

    /// What came of them, as sentences.
    pub fn sentence(&self) -> String {
        let mut text = format!("{} of {} are in", grouped(self.imported), keys(self.read));
        let parts = [
            (self.kept, "existed already and were kept"),
            (self.expired, "had expired"),
            (self.unwanted, "are of other databases"),
            (self.unreadable, "could NOT be read (see above)"),
        ];
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {} {what}", grouped(count));
        }
        if self.left_out > 0 {
            text += &format!("; {} other things were NOT taken (see above)", grouped(self.left_out));
        }
        text
    }
}

/// Shows how far something is: one line that changes on a terminal, a line now and then elsewhere.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    shown: Option<Instant>,
    terminal: bool,
    /// Where it began and where it ends, in bytes.
    first: u64,
    total: Option<u64>,
    width: usize,
}

impl Progress {
    /// From `first` to `total` bytes, if that is known.
    pub fn new(first: u64, total: Option<u64>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { began: Instant::now(), shown: None, terminal, first, total, width: 0 }
    }

    /// How long it has gone on.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Shows this, unless something was shown a moment ago.
    pub fn show(&mut self, what: &str, keys_done: u64, bytes_done: u64) {
        let every = if self.terminal { LINE_EVERY } else { LOG_EVERY };
        if self.shown.unwrap_or(self.began).elapsed() >= every {
            self.shown = Some(Instant::now());
            let line = line(what, self.began.elapsed(), keys_done, bytes_done, self.first, self.total);
            self.write(&line);
        }
    }

    fn write(&mut self, line: &str) {
        let mut to = std::io::stderr().lock();
        // Whether somebody still reads along makes no difference to the work.
        let _ = if self.terminal {
            let width = std::mem::replace(&mut self.width, line.chars().count());
            write!(to, "\r{line:<width$}")
        } else {
            writeln!(to, "{line}")
        };
    }

    /// Says something that stays.
    pub fn say(&mut self, line: &str) {
        self.end();
        eprintln!("{line}");
    }

    /// Leaves the line that changes.
    pub fn end(&mut self) {
        if self.terminal && std::mem::take(&mut self.width) > 0 {
            eprintln!();
        }
    }
}

fn line(
    what: &str,
    so_far: Duration,
    keys_done: u64,
    bytes_done: u64,
    first: u64,
    total: Option<u64>,
) -> String {
    let seconds = so_far.as_secs_f64().max(0.001);
    let bytes_rate = bytes_done.saturating_sub(first) as f64 / seconds;
    let mut line = format!("{what}: {}, {}", keys(keys_done), bytes(bytes_done));
    if let Some(total) = total.filter(|total| *total > 0) {
        let percent = bytes_done as f64 * 100.0 / total as f64;
        line += &format!(" of {} ({percent:.0}%)", bytes(total));
    }
    line += &format!(", {}/s", bytes(bytes_rate as u64));
    if let Some(total) = total
        && bytes_rate > 0.0
        && bytes_done < total
    {
        let left = (total - bytes_done) as f64 / bytes_rate;
        line += &format!(", {} left", elapsed(Duration::from_secs_f64(left.min(1e9))));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_counts_from_where_it_began() {
        let half = line("importing", Duration::from_secs(10), 7, 150 << 20, 100 << 20, Some(200 << 20));
        assert_eq!(half, "importing: 7 keys, 150.0 MiB of 200.0 MiB (75%), 5.0 MiB/s, 10 s left");
        assert_eq!(line("copying", Duration::from_secs(1), 1, 10, 0, None), "copying: 1 key, 10 B, 10 B/s");
    }

    #[test]
    fn the_end_says_what_is_missing() {
        let counts = Counts { read: 5, imported: 2, expired: 1, unreadable: 2, ..Counts::default() };
        assert_eq!(counts.sentence(), "2 of 5 keys are in, 1 had expired, 2 could NOT be read (see above)");
        assert!(counts.is_incomplete());
    }
}
