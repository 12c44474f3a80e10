//! SLOWLOG, LATENCY: what took long at this node.

use super::{Answered, shown};
use crate::clients::Ticket;
use crate::node::Node;
use crate::op::{Op, decode_op};
use crate::slowlog::{Entry, shortened};
use crate::timings::Spikes;
use base::{Duration, Time};
use command::{Flags, Spec};
use resp::number::parse_integer;
use std::fmt::Write;

/// How many entries SLOWLOG GET answers if it isn't told.
const ENTRIES: usize = 10;
/// The heights in LATENCY GRAPH, the lowest first.
const BARS: [char; 4] = ['_', 'o', 'O', '#'];

impl Node {
    /// Whether a command that took so long is kept in the slow log.
    #[inline]
    pub(crate) fn is_slow(&self, took: Duration) -> bool {
        self.hub.config.slower_than.is_some_and(|least| took >= least)
    }

    /// Keeps a command in the slow log.
    pub(crate) fn note_slow(&mut self, slot: u32, spec: &Spec, words: &[&[u8]], took: Duration) {
        if spec.flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        let at_s = self.hub.wall().0 / 1000;
        let words = shortened(&crate::monitor::redacted(spec, words));
        let Some(client) = self.hub.clients.get(slot) else { return };
        let (address, name) = (client.address.clone(), client.name.clone());
        let entry = Entry { id: 0, at_s, took_us: took.as_micros() as u64, words, address, name };
        self.slow_log.add(entry, self.hub.config.slow_log_entries_max);
    }

    /// Keeps a command that waited in the slow log, if it took long enough.
    pub(crate) fn note_slow_answer(&mut self, ticket: Ticket, since: Time, spec: &Spec, words: &[&[u8]]) {
        let took = self.hub.now.since(since);
        if self.is_slow(took) && self.hub.clients.of(ticket).is_some() {
            self.note_slow(ticket.slot(), spec, words, took);
        }
    }

    /// Keeps what took long at a shard in the slow log.
    pub(crate) fn tell_slow(&mut self) {
        for (ticket, op) in std::mem::take(&mut self.hub.slow) {
            match decode_op(&mut &op[..]) {
                Ok(Op::Command(invocation)) => {
                    self.note_slow_answer(ticket, ticket.since(), invocation.spec, &invocation.words);
                }
                // EXEC is not shown, but what it carried out.
                Ok(Op::Transaction(transaction)) => {
                    for invocation in transaction.commands.iter().take(self.hub.config.slow_log_entries_max) {
                        self.note_slow_answer(ticket, ticket.since(), invocation.spec, &invocation.words);
                    }
                }
                _ => {}
            }
        }
    }

    /// SLOWLOG.
    pub(super) fn about_slow_log(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) -> Answered {
        match (spec.short_name(), &words[2..]) {
            ("len", _) => {
                let count = self.slow_log.len();
                self.reply(slot, |reply| reply.count(count as u64));
            }
            ("reset", _) => {
                self.slow_log.clear();
                return self.reply_ok(slot);
            }
            ("get", given @ ([] | [_])) => {
                let wanted = match given {
                    [word, ..] => parse_integer(word).filter(|count| *count >= -1),
                    [] => Some(ENTRIES as i64),
                };
                let wanted = wanted.ok_or("ERR count should be greater than or equal to -1")?;
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
                let entries: Vec<Entry> = self.slow_log.iter().take(wanted).cloned().collect();
                self.reply(slot, |reply| {
                    reply.array(entries.len());
                    for entry in &entries {
                        reply.array(6);
                        reply.count(entry.id);
                        reply.count(entry.at_s);
                        reply.count(entry.took_us);
                        reply.array(entry.words.len());
                        entry.words.iter().for_each(|word| reply.bulk(word));
                        reply.text(&entry.address);
                        reply.bulk(&entry.name);
                    }
                });
            }
            ("help", _) => return self.explain(slot, "slowlog"),
            _ => return Err(command::Error::Arity(spec.name).text().into_owned().into()),
        }
        Ok(())
    }

    /// LATENCY.
    pub(super) fn about_latency(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) -> Answered {
        match (spec.short_name(), &words[2..]) {
            ("latest", _) => {
                let latest = self.hub.clients.timings.spikes().iter().filter_map(|(name, spikes)| {
                    spikes.samples.back().map(|(at_s, ms)| (*name, [*at_s, *ms, spikes.max_ms]))
                });
                let latest: Vec<(&str, [u64; 3])> = latest.collect();
                self.reply(slot, |reply| {
                    reply.array(latest.len());
                    for (name, numbers) in latest {
                        reply.array(4);
                        reply.text(name);
                        numbers.into_iter().for_each(|number| reply.count(number));
                    }
                });
            }
            ("history", [event]) => {
                let samples =
                    self.spikes_of(event).map(|(_, spikes)| spikes.samples.clone()).unwrap_or_default();
                self.reply(slot, |reply| {
                    reply.array(samples.len());
                    for (at_s, ms) in samples {
                        reply.array(2);
                        reply.count(at_s);
                        reply.count(ms);
                    }
                });
            }
            ("reset", events) => {
                let count = self.hub.clients.timings.clear_spikes(events);
                self.reply(slot, |reply| reply.count(count as u64));
            }
            ("graph", [event]) => {
                let now_s = self.hub.wall().0 / 1000;
                let graph = self.spikes_of(event).map(|(name, spikes)| graph(name, spikes, now_s));
                let graph =
                    graph.ok_or_else(|| format!("ERR No samples available for event '{}'", shown(event)))?;
                self.reply(slot, |reply| reply.verbatim(*b"txt", graph.as_bytes()));
            }
            ("doctor", _) => {
                let advice = self.latency_advice();
                self.reply(slot, |reply| reply.verbatim(*b"txt", advice.as_bytes()));
            }
            ("histogram", names) => self.histograms(slot, names),
            ("help", _) => return self.explain(slot, "latency"),
            _ => return Err(command::Error::Arity(spec.name).text().into_owned().into()),
        }
        Ok(())
    }

    fn spikes_of(&self, event: &[u8]) -> Option<(&'static str, &Spikes)> {
        let mut all = self.hub.clients.timings.spikes().iter();
        all.find(|(name, _)| event.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(name, spikes)| (*name, spikes))
    }

    /// Of the commands that are named, or of all, those that were called.
    fn histograms(&mut self, slot: u32, names: &[&[u8]]) {
        let timings = &self.hub.clients.timings;
        let mut wanted: Vec<&'static str> = Vec::new();
        for name in names {
            let Some(spec) = command::table::lookup_full(name) else { continue };
            wanted.push(spec.name);
            wanted.extend(spec.subcommands.iter().map(|child| child.name));
        }
        let found: Vec<_> = timings
            .all()
            .into_iter()
            .filter(|(name, calls)| calls.calls > 0 && (names.is_empty() || wanted.contains(name)))
            .map(|(name, calls)| (name, calls.calls, calls.histogram()))
            .collect();
        self.reply(slot, |reply| {
            reply.map(found.len());
            for (name, calls, histogram) in found {
                reply.text(name);
                reply.map(2);
                reply.text("calls");
                reply.count(calls);
                reply.text("histogram_usec");
                reply.map(histogram.len());
                for (most, count) in histogram {
                    reply.count(most);
                    reply.count(count);
                }
            }
        });
    }

    fn latency_advice(&self) -> String {
        let timings = &self.hub.clients.timings;
        if timings.threshold == Duration::ZERO {
            return "Nothing is watched: say from how many milliseconds on something is too slow with CONFIG SET \
                    latency-monitor-threshold.\n"
                .to_string();
        }
        let mut text = String::new();
        for (name, spikes) in timings.spikes() {
            let count = spikes.samples.len() as u64;
            let sum: u64 = spikes.samples.iter().map(|(_, ms)| ms).sum();
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "{name}: {count} latency spikes (average {} ms, worst all time event {} ms).",
                sum / count.max(1),
                spikes.max_ms
            );
            text.push_str(match *name {
                "aof-fsync-always" => {
                    "  The disk takes long to write. Look who else uses it, or use a faster one: nothing is acknowledged before \
                     a majority of the nodes has it on disk.\n"
                }
                _ => {
                    "  A command's time counts from its arrival to its answer: look at SLOWLOG GET for which ones, and at \
                     aof-fsync-always and the links between the nodes for whether they waited.\n"
                }
            });
        }
        if text.is_empty() {
            text.push_str("No latency spike was seen since the start, or since LATENCY RESET.\n");
        }
        text
    }
}

/// The samples as bars between the lowest and the highest.
fn graph(name: &str, spikes: &Spikes, now_s: u64) -> String {
    let times = || spikes.samples.iter().map(|(_, ms)| *ms);
    let (low, high) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let bars: String = times()
        .map(|ms| BARS[((ms - low) * (BARS.len() as u64 - 1)).checked_div(high - low).unwrap_or(0) as usize])
        .collect();
    let age = |sample: Option<&(u64, u64)>| sample.map_or(0, |(at_s, _)| now_s.saturating_sub(*at_s));
    format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n{bars}\n\nThe first was {} s ago, the last {} s.\n",
        spikes.max_ms,
        "-".repeat(80),
        age(spikes.samples.front()),
        age(spikes.samples.back()),
    )
}
