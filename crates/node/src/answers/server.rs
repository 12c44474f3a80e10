//! The node: what it is, how it is set, what it counts; and the table of commands.

use super::{Answered, shown};
use crate::meta::{MetaCommand, Setting};
use crate::node::{Copy, Node};
use crate::overview::Counters;
use crate::views::config::{self, ConfigCommand};
use crate::views::info::info;
use base::DatabaseIndex;
use command::{Error, Spec};
use resp::Writer;
use resp::number::parse_integer;

/// How long somebody would wait: nobody has to here, but it must be a time.
fn check_patience(timeout: &[u8]) -> Answered {
    match parse_integer(timeout) {
        None => Err("ERR timeout is not an integer or out of range".into()),
        Some(timeout) if timeout < 0 => Err("ERR timeout is negative".into()),
        Some(_) => Ok(()),
    }
}

impl Node {
    pub(super) fn about_server(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Answered {
        match (spec.name, words) {
            ("info", _) => {
                let overview = self.overview(self.hub.now);
                let text = info(&overview, &self.hub.config, &words[1..]);
                self.reply(slot, |reply| reply.verbatim(*b"txt", text.as_bytes()));
                Ok(())
            }
            ("time", _) => {
                let wall = self.hub.wall().0;
                self.reply(slot, |reply| {
                    reply.array(2);
                    reply.text(&(wall / 1000).to_string());
                    reply.text(&(wall % 1000 * 1000).to_string());
                });
                Ok(())
            }
            ("lolwut", _) => {
                let drawing = command::lolwut::draw(words, env!("CARGO_PKG_VERSION"))
                    .map_err(|error| error.text().into_owned())?;
                self.reply(slot, |reply| reply.verbatim(*b"txt", drawing.as_bytes()));
                Ok(())
            }
            ("swapdb", [_, a, b]) => self.swap_databases(slot, a, b, words),
            ("wait", [_, copies, timeout]) => self.wait(slot, copies, timeout),
            ("waitaof", [_, own, copies, timeout]) => self.wait_for_disks(slot, own, copies, timeout),
            _ => match spec.name.split_once('|') {
                Some(("config", _)) => self.configure(slot, words),
                Some(("memory", name)) => self.about_memory(slot, name),
                _ => self.describe_commands(slot, spec, words),
            },
        }
    }

    fn describe_commands(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Answered {
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        let mut answer = Vec::new();
        command::introspect::command(spec, words, &mut Writer::new(&mut answer, client.protocol))
            .map_err(|error| error.text().into_owned())?;
        self.reply(slot, |reply| reply.raw(&answer));
        Ok(())
    }

    fn swap_databases(&mut self, slot: u32, a: &[u8], b: &[u8], words: &[&[u8]]) -> Answered {
        let index = |word: &[u8]| parse_integer(word).and_then(|number| i32::try_from(number).ok());
        let a = index(a).ok_or("ERR invalid first DB index")?;
        let b = index(b).ok_or("ERR invalid second DB index")?;
        let open = |number: i32| {
            let index = DatabaseIndex(u32::try_from(number).ok()?);
            self.database(index).map(|_| index)
        };
        let (Some(a), Some(b)) = (open(a), open(b)) else {
            return Err(Error::DatabaseIndex.text().into_owned().into());
        };
        if a == b {
            return self.reply_ok(slot);
        }
        self.change_meta(slot, words, &MetaCommand::SwapDatabases { a, b });
        Ok(())
    }

    /// Everything earlier on the connection is acknowledged by now, and so on the disks of a majority. More copies will
    /// have it, but nothing is known of when: so it waits for nothing and says what is certain.
    fn wait(&mut self, slot: u32, copies: &[u8], timeout: &[u8]) -> Answered {
        parse_integer(copies).ok_or_else(|| Error::NotAnInteger.text().into_owned())?;
        check_patience(timeout)?;
        let certain = self.disks_for_certain().saturating_sub(1);
        self.reply(slot, |reply| reply.count(certain as u64));
        Ok(())
    }

    /// WAITAOF: of the disks that everything acknowledged is on for certain, one counts as this node's.
    fn wait_for_disks(&mut self, slot: u32, own: &[u8], copies: &[u8], timeout: &[u8]) -> Answered {
        if !parse_integer(own).is_some_and(|own| (0..=1).contains(&own)) {
            return Err("ERR value is out of range, value must between 0 and 1".into());
        }
        if parse_integer(copies).is_none_or(|copies| copies < 0) {
            return Err("ERR value is out of range, must be positive".into());
        }
        check_patience(timeout)?;
        let certain = self.disks_for_certain() as u64;
        self.reply(slot, |reply| {
            reply.array(2);
            reply.count(certain.min(1));
            reply.count(certain.saturating_sub(1));
        });
        Ok(())
    }

    /// On how many nodes' disks what is acknowledged is at least: a majority of each shard's voters; of a shard whose copies this node
    /// doesn't know, on one.
    fn disks_for_certain(&self) -> usize {
        let majority = |group: &base::GroupId| {
            let replica = self.replicas.get(group.0 as usize).and_then(Copy::as_live);
            replica.map_or(1, |replica| replica.raft.membership().voters.len() / 2 + 1)
        };
        self.view.shards.iter().map(majority).min().unwrap_or(0)
    }

    /// Whether fewer other nodes are certain to have what is acknowledged than the cluster wants.
    #[inline]
    pub(crate) fn lacks_replicas(&self) -> bool {
        self.replicas_min > 0 && self.disks_for_certain() <= self.replicas_min
    }

    fn configure(&mut self, slot: u32, words: &[&[u8]]) -> Answered {
        let Some(meta) = self.meta() else {
            return Err("TRYAGAIN not executed: this node has not heard from its cluster yet; retry".into());
        };
        match ConfigCommand::parse(&words[1..], &self.hub.config, meta)? {
            ConfigCommand::Get(patterns) => {
                let found = config::get(&patterns, &self.hub.config, meta);
                self.reply(slot, |reply| {
                    reply.map(found.len());
                    for (name, value) in &found {
                        reply.text(name);
                        reply.text(value);
                    }
                });
            }
            ConfigCommand::Set(changes) => {
                let settings: Vec<Setting> =
                    changes.iter().filter_map(config::ConfigChange::for_meta).collect();
                if settings.is_empty() {
                    for change in &changes {
                        change.apply(&mut self.hub.config);
                    }
                    self.make_room();
                    self.hub.clients.timings.threshold = self.hub.config.latency_threshold;
                    return self.reply_ok(slot);
                }
                if settings.len() < changes.len() {
                    let shared: Vec<&str> = settings.iter().map(|setting| setting.key.as_str()).collect();
                    return Err(format!(
                        "ERR CONFIG SET failed - {} are the whole cluster's, the others this node's: all or none of \
                         them can't be promised, so set them in two commands",
                        shared.join(", ")
                    )
                    .into());
                }
                self.change_meta(slot, words, &MetaCommand::SetAll { settings });
            }
            ConfigCommand::ResetStat => {
                self.hub.counters = Counters { clients: self.hub.counters.clients, ..Counters::default() };
                self.hub.clients.errors.clear();
                self.reset_freed();
                self.access_log.reset_counts();
                self.hub.clients.timings.clear_calls();
                return self.reply_ok(slot);
            }
            ConfigCommand::Help => self.reply(slot, config::help),
        }
        Ok(())
    }

    fn about_memory(&mut self, slot: u32, name: &str) -> Answered {
        match name {
            "help" => {
                let container = command::lookup(b"memory").expect("MEMORY is in the table");
                self.reply(slot, |reply| command::introspect::help(container, reply));
            }
            "stats" => self.memory_stats(slot),
            "doctor" => {
                let advice = self.memory_advice();
                self.reply(slot, |reply| reply.verbatim(*b"txt", advice.as_bytes()));
            }
            "malloc-stats" => {
                self.reply(slot, |reply| reply.text("Stats not supported for the current allocator"));
            }
            // The allocator gives back by itself what nobody uses.
            "purge" => return self.reply_ok(slot),
            other => {
                return Err(format!(
                    "ERR 'memory|{}' isn't answered by this release",
                    shown(other.as_bytes())
                )
                .into());
            }
        }
        Ok(())
    }

    fn memory_stats(&mut self, slot: u32) {
        let overview = self.overview(self.hub.now);
        let own = || overview.groups.iter().filter_map(|group| group.own.as_ref());
        let keys: u64 = own().map(|own| own.keys).sum();
        let dataset: u64 = own().map(|own| own.memory_bytes).sum();
        let clients: u64 = self
            .hub
            .clients
            .iter()
            .map(|client| (client.input.capacity() + client.output_bytes()) as u64)
            .sum();
        let fields = [
            ("total.allocated", overview.machine.memory_bytes),
            ("clients.normal", clients),
            ("keys.count", keys),
            ("keys.bytes-per-key", dataset.checked_div(keys).unwrap_or(0)),
            ("dataset.bytes", dataset),
        ];
        self.reply(slot, |reply| {
            reply.map(fields.len());
            for (name, value) in fields {
                reply.text(name);
                reply.count(value);
            }
        });
    }

    fn memory_advice(&self) -> String {
        let facts = &self.machine_facts;
        if facts.memory_total_bytes == 0 {
            return "Nothing is known yet of this machine's memory.".to_string();
        }
        let percent = facts.memory_bytes * 100 / facts.memory_total_bytes;
        if percent >= 75 {
            format!(
                "This node uses {percent}% of its machine's memory. Keys are kept in memory: spread the shards over \
                 more nodes, let keys expire, or give the machine more memory before it is used up."
            )
        } else {
            format!("This node uses {percent}% of its machine's memory. Nothing needs to be done.")
        }
    }
}
