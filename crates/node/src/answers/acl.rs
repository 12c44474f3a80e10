//! ACL: the users of the cluster and what they may do, and what this node has refused to whom.

use super::{Answered, is, shown};
use crate::meta::MetaCommand;
use crate::node::Node;
use crate::users::log::Entry;
use crate::users::{DEFAULT, Selector, rules};
use base::UnixMillis;
use bytes::Bytes;
use command::categories::{Category, NAMES};
use command::table::COMMANDS;
use command::{Error, Spec};
use resp::Writer;
use resp::number::parse_integer;
use sha2::{Digest, Sha256};

/// How many bits GENPASS makes if nothing else is said, and the most that it makes.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;
/// How many entries LOG shows if nothing else is said.
const LOG_SHOWN: i64 = 10;

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file: users live in the cluster, where ACL SETUSER \
    changes them for good and on every node, so there is nothing to load";

impl Node {
    pub(super) fn about_users(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Answered {
        match (spec.short_name(), &words[2..]) {
            ("whoami", _) => {
                let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
                let name = client.user.name().clone();
                self.reply(slot, |reply| reply.bulk(&name));
            }
            ("users", _) => {
                let names: Vec<Bytes> = self.view.users.iter().map(|user| user.name().clone()).collect();
                self.reply(slot, |reply| {
                    reply.array(names.len());
                    names.iter().for_each(|name| reply.bulk(name));
                });
            }
            ("list", _) => {
                let lines =
                    self.view.users.iter().map(|access| {
                        [b"user ", &access.name()[..], b" ", &access.user().describe()].concat()
                    });
                let lines: Vec<Vec<u8>> = lines.collect();
                self.reply(slot, |reply| {
                    reply.array(lines.len());
                    lines.iter().for_each(|line| reply.bulk(line));
                });
            }
            ("getuser", [name]) => self.get_user(slot, name),
            ("setuser", [name, rules @ ..]) => return self.set_user(slot, name, rules, words),
            ("deluser", names) => return self.delete_users(slot, names, words),
            ("cat", []) => self.reply(slot, |reply| {
                reply.array(NAMES.len());
                NAMES.iter().for_each(|name| reply.text(name));
            }),
            ("cat", [category]) => return self.commands_of(slot, category),
            ("dryrun", [name, words @ ..]) => return self.dry_run(slot, name, words),
            ("genpass", []) => self.make_password(slot, PASSWORD_BITS),
            ("genpass", [bits]) => {
                let bits = parse_integer(bits).ok_or_else(|| Error::NotAnInteger.text().into_owned())?;
                if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
                    return Err("ERR ACL GENPASS argument must be the number of bits for the output password, a positive \
                                number up to 4096"
                        .into());
                }
                self.make_password(slot, bits);
            }
            ("log", []) => self.show_log(slot, LOG_SHOWN),
            ("log", [reset]) if is(reset, "reset") => {
                self.access_log.clear();
                return self.reply_ok(slot);
            }
            ("log", [count]) => {
                let count = parse_integer(count).ok_or_else(|| Error::NotAnInteger.text().into_owned())?;
                self.show_log(slot, count);
            }
            // Whoever has seen a user has seen what is on the disks of a majority.
            ("save", _) => return self.reply_ok(slot),
            ("load", _) => return Err(NO_FILE.into()),
            ("help", _) => {
                let container = command::lookup(b"acl").expect("ACL is in the table");
                self.reply(slot, |reply| command::introspect::help(container, reply));
            }
            _ => {
                return Err(format!(
                    "ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP.",
                    shown(words[1])
                )
                .into());
            }
        }
        Ok(())
    }

    fn get_user(&mut self, slot: u32, name: &[u8]) {
        let Some(access) = self.view.users.get(name).cloned() else {
            return self.reply(slot, |reply| reply.null());
        };
        let user = access.user();
        self.reply(slot, |reply| {
            reply.map(6);
            reply.text("flags");
            reply.set(user.flags().count());
            user.flags().for_each(|flag| reply.text(flag));
            reply.text("passwords");
            reply.array(user.passwords.len());
            user.passwords.iter().for_each(|password| reply.text(&password.hex()));
            describe_selector(&user.root, reply);
            reply.text("selectors");
            reply.array(user.selectors.len());
            for selector in &user.selectors {
                reply.map(3);
                describe_selector(selector, reply);
            }
        });
    }

    fn set_user(&mut self, slot: u32, name: &[u8], rules: &[&[u8]], words: &[&[u8]]) -> Answered {
        let spaces = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b || *byte == 0;
        if name.iter().any(spaces) {
            return Err("ERR Usernames can't contain spaces or null characters".into());
        }
        let rules = rules::parse_all(rules).map_err(|error| format!("ERR {error}"))?;
        let command = MetaCommand::SetUser { name: Bytes::copy_from_slice(name), rules };
        self.change_meta(slot, words, &command);
        Ok(())
    }

    fn delete_users(&mut self, slot: u32, names: &[&[u8]], words: &[&[u8]]) -> Answered {
        if names.contains(&DEFAULT) {
            return Err("ERR The 'default' user cannot be removed".into());
        }
        let names = names.iter().map(|name| Bytes::copy_from_slice(name)).collect();
        self.change_meta(slot, words, &MetaCommand::DeleteUsers { names });
        Ok(())
    }

    fn commands_of(&mut self, slot: u32, name: &[u8]) -> Answered {
        let category =
            Category::parse(name).ok_or_else(|| format!("ERR Unknown category '{}'", shown(name)))?;
        let all = COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
        let found: Vec<&str> = all.filter(|spec| category.has(spec)).map(|spec| spec.name).collect();
        self.reply(slot, |reply| {
            reply.array(found.len());
            found.iter().for_each(|name| reply.text(name));
        });
        Ok(())
    }

    fn dry_run(&mut self, slot: u32, name: &[u8], words: &[&[u8]]) -> Answered {
        let user = self.view.users.get(name);
        let user = user.ok_or_else(|| format!("ERR User '{}' not found", shown(name)))?;
        let spec = match command::resolve(words) {
            Ok(spec) => spec,
            Err(Error::Arity(name)) => return Err(Error::Arity(name).text().into_owned().into()),
            Err(_) => return Err(format!("ERR Command '{}' not found", shown(words[0])).into()),
        };
        let answer = user.check(spec, words).map_err(|denied| denied.tells(spec, words));
        self.reply(slot, |reply| match answer {
            Ok(()) => reply.ok(),
            Err(why) => reply.text(&why),
        });
        Ok(())
    }

    /// Chance enough for a secret: what the cluster's secret key, the system's chance at the start and what has happened since make
    /// together, hashed.
    fn make_password(&mut self, slot: u32, bits: i64) {
        let secret = self.meta().map(|meta| meta.hash_key()).unwrap_or_default();
        let mut digits = String::new();
        let length = (bits as usize).div_ceil(4);
        while digits.len() < length {
            let mut hash = Sha256::new_with_prefix(b"ACL GENPASS");
            let drawn = [self.hub.rng.next_u64(), self.hub.rng.next_u64()];
            for number in secret.into_iter().chain([self.hub.session.start, self.hub.wall().0]).chain(drawn) {
                hash.update(number.to_le_bytes());
            }
            digits.extend(hash.finalize().iter().map(|byte| format!("{byte:02x}")));
        }
        digits.truncate(length);
        self.reply(slot, |reply| reply.text(&digits));
    }

    fn show_log(&mut self, slot: u32, count: i64) {
        let count = usize::try_from(count).unwrap_or(0).min(self.access_log.entries().len());
        let now = self.hub.wall();
        let entries: Vec<Entry> = self.access_log.entries().take(count).cloned().collect();
        self.reply(slot, |reply| {
            reply.array(entries.len());
            entries.iter().for_each(|entry| describe_entry(entry, now, reply));
        });
    }
}

fn describe_selector(selector: &Selector, reply: &mut Writer<'_>) {
    reply.text("commands");
    reply.text(&selector.describe_commands());
    reply.text("keys");
    reply.bulk(&selector.describe_keys());
    reply.text("channels");
    reply.bulk(&selector.describe_channels());
}

fn describe_entry(entry: &Entry, now: UnixMillis, reply: &mut Writer<'_>) {
    reply.map(10);
    reply.text("count");
    reply.count(entry.count);
    for (field, value) in [
        ("reason", entry.refused.reason.name().as_bytes()),
        ("context", entry.refused.context.name().as_bytes()),
        ("object", &entry.refused.object),
        ("username", &entry.refused.user),
    ] {
        reply.text(field);
        reply.bulk(value);
    }
    reply.text("age-seconds");
    reply.double(now.0.saturating_sub(entry.updated.0) as f64 / 1000.0);
    reply.text("client-info");
    reply.text(entry.client.trim_end());
    for (field, value) in [
        ("entry-id", entry.id),
        ("timestamp-created", entry.created.0),
        ("timestamp-last-updated", entry.updated.0),
    ] {
        reply.text(field);
        reply.count(value);
    }
}
