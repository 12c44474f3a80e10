//! SAVE, SHUTDOWN, REPLICAOF, MODULE and the like: what operators of a Redis ask for.

use super::{Answered, is};
use crate::node::Node;
use command::{Error, Spec};

/// What there is to say to who asks for a save.
const SAVED: &str = "every acknowledged write is on disk already, nothing is left to save; \
                     'sihai export' writes an RDB file";

impl Node {
    pub(super) fn about_operations(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Answered {
        match (spec.name, &words[1..]) {
            ("save", _) => {
                self.reset_changes();
                self.reply_ok(slot)
            }
            ("bgsave", [option]) if !is(option, "schedule") => Err(Error::Syntax.text().into_owned().into()),
            ("bgsave", [] | [_]) => {
                self.reset_changes();
                self.reply_status(slot, SAVED)
            }
            ("bgsave", _) => Err(Error::Syntax.text().into_owned().into()),
            ("bgrewriteaof", _) => {
                self.reply_status(slot, "the log is shortened by itself, nothing is left to rewrite")
            }
            ("lastsave", _) => {
                let now = self.hub.wall().0 / 1000;
                self.reply(slot, |reply| reply.count(now));
                Ok(())
            }
            ("role", _) => {
                // Copies belong to shards, not to nodes: there is no list of replicas that would be true of a node.
                self.reply(slot, |reply| {
                    reply.array(3);
                    reply.text("master");
                    reply.integer(0);
                    reply.array(0);
                });
                Ok(())
            }
            ("replicaof" | "slaveof", [host, port]) if is(host, "no") && is(port, "one") => self.reply_ok(slot),
            ("replicaof" | "slaveof", _) => Err("ERR a node of Sihai follows no other server: copy its data with \
                 'sihai import --from redis://HOST:PORT', or join a cluster with 'sihai serve --join HOST:PEERPORT'"
                .into()),
            ("failover", _) => {
                Err("ERR leaders change by themselves, shard by shard; SHUTDOWN hands over what this node leads".into())
            }
            ("shutdown", options) => self.shut_down(options),
            ("module|list", _) => {
                self.reply(slot, |reply| reply.array(0));
                Ok(())
            }
            ("module|help", _) => self.explain(slot, "module"),
            ("pfselftest", _) => match command::families::hyperloglog::self_test() {
                Ok(()) => self.reply_ok(slot),
                Err(text) => Err(text.into()),
            },
            _ => Err("ERR there are no modules in Sihai".into()),
        }
    }

    /// Hands over and stops, as by SIGTERM. Whoever asked sees the connection close, as with Redis.
    fn shut_down(&mut self, options: &[&[u8]]) -> Answered {
        let known = ["nosave", "save", "now", "force", "abort"];
        if options.iter().any(|word| !known.iter().any(|known| is(word, known))) {
            return Err(Error::Syntax.text().into_owned().into());
        }
        let has = |option: &str| options.iter().any(|word| is(word, option));
        match (has("abort"), has("save") && has("nosave"), options.len()) {
            (true, _, 1) => {
                return Err(if self.is_stopping() {
                    "ERR this node is handing over what it leads, which can't be taken back".into()
                } else {
                    "ERR No shutdown in progress.".into()
                });
            }
            (true, ..) | (_, true, _) => return Err(Error::Syntax.text().into_owned().into()),
            _ => {}
        }
        self.stop();
        Ok(())
    }
}
