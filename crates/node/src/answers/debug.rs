//! DEBUG, as far as it means something here and harms nobody.

use super::Answered;
use crate::clients::Ticket;
use crate::node::Node;
use base::{Duration, Time};
use bytes::Bytes;
use command::Spec;
use resp::number::parse_integer;

/// The longest that DEBUG SLEEP lets its client wait, in seconds.
const SLEEP_S_MAX: f64 = 3600.0;

/// A client that DEBUG SLEEP lets wait.
#[derive(Debug)]
pub(crate) struct Sleeper {
    ticket: Ticket,
    since: Time,
    until: Time,
    words: Vec<Bytes>,
}

impl Node {
    pub(super) fn debug(&mut self, slot: u32, words: &[&[u8]]) -> Answered {
        match (words[1].to_ascii_lowercase().as_slice(), &words[2..]) {
            // Only the client that asks waits; nobody else is held up.
            (b"sleep", [seconds]) => {
                let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.parse::<f64>().ok());
                let seconds = seconds.filter(|seconds| (0.0..=SLEEP_S_MAX).contains(seconds));
                let seconds =
                    seconds.ok_or("ERR the time to sleep must be a number of seconds from 0 to 3600")?;
                let since = self.hub.now;
                let until = since + Duration::from_nanos((seconds * 1e9) as u64);
                let ticket = self.hub.clients.ticket(slot, None);
                if let Some(client) = self.hub.clients.get(slot) {
                    client.held = true;
                }
                let words = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
                self.sleepers.push(Sleeper { ticket, since, until, words });
            }
            (b"set-active-expire", [switch]) => {
                self.lets_expire =
                    parse_integer(switch).ok_or("ERR value is not an integer or out of range")? != 0;
                return self.reply_ok(slot);
            }
            (b"stringmatch-len", [length, pattern]) => {
                let length = parse_integer(length).and_then(|length| usize::try_from(length).ok());
                let length = length.filter(|length| *length <= 1 << 20);
                let length = length.ok_or("ERR value is not an integer or out of range")?;
                let matches = command::glob::matches(pattern, &vec![b'a'; length]);
                self.reply(slot, |reply| reply.integer(i64::from(matches)));
            }
            (b"help", []) => self.reply(slot, |reply| {
                const LINES: [&str; 9] = [
                    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
                    "SET-ACTIVE-EXPIRE <0|1>",
                    "    Whether the shards that this node leads remove keys whose time has come.",
                    "SLEEP <seconds>",
                    "    Answer after so long; only this client waits.",
                    "STRINGMATCH-LEN <length> <pattern>",
                    "    Match a pattern against so many letters.",
                    "HELP",
                    "    Print this help.",
                ];
                reply.array(LINES.len());
                LINES.iter().for_each(|line| reply.simple(line));
            }),
            (name, _) => {
                let name = String::from_utf8_lossy(name).into_owned();
                return Err(format!(
                    "ERR DEBUG {name} is not answered here: it is about Redis's own workings, or would harm what is kept. Try \
                     DEBUG HELP."
                )
                .into());
            }
        }
        Ok(())
    }

    /// Answers clients whose DEBUG SLEEP is over.
    pub(crate) fn tend_sleepers(&mut self) {
        let now = self.hub.now;
        let (over, rest) =
            std::mem::take(&mut self.sleepers).into_iter().partition(|sleeper| sleeper.until <= now);
        self.sleepers = rest;
        let over: Vec<Sleeper> = over;
        for sleeper in over {
            let words: Vec<&[u8]> = sleeper.words.iter().map(|word| &word[..]).collect();
            let spec: &Spec = command::lookup(b"debug").expect("DEBUG is in the table");
            self.note_slow_answer(sleeper.ticket, sleeper.since, spec, &words);
            self.hub.clients.answer(sleeper.ticket, b"+OK\r\n");
        }
    }
}
