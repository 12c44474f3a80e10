//! Commands that no shard answers: those about the connection, this node, and the cluster as this node knows it. They
//! are answered at once, in their turn, except where the meta group has to agree first or a slot's keys are asked for.
//!
//! Replies and errors are Redis 7.2's. What Sihai has no true value for is left out of a reply, never invented.

/// ACL: users, and what they may do.
mod acl;
/// CLIENT: the connections and what is set on them.
mod clients;
/// CLUSTER: slots, shards and nodes.
mod cluster;
/// What a connection says about itself: HELLO, AUTH, SELECT and the like.
mod connection;
/// DEBUG.
mod debug;
/// SAVE, SHUTDOWN, REPLICAOF and the like.
mod operations;
/// Channels: SUBSCRIBE, PUBLISH, PUBSUB.
mod pubsub;
/// REPLCONF: what SYNC shall send.
mod replication;
/// SCRIPT and FUNCTION.
mod scripting;
/// The node: INFO, CONFIG, TIME, MEMORY and the like.
mod server;
/// SIHAI: what Redis has no words for.
mod sihai;
/// CLIENT TRACKING and what belongs to it.
mod tracking;
/// SLOWLOG, LATENCY.
mod watching;

pub(crate) use debug::Sleeper;

pub(crate) use clients::describe_client;

use crate::clients::Ticket;
use crate::hub::Waiter;
use crate::meta::MetaCommand;
use crate::node::Node;
use crate::op::Op;
use base::GroupId;
use base::codec::Encode;
use bytes::Bytes;
use command::Spec;
use resp::Writer;
use std::borrow::Cow;

/// Whether a command was taken, or why not: a whole error reply without its dash.
pub(crate) type Answered = Result<(), Cow<'static, str>>;

impl Node {
    /// Whether a command must wait until all earlier ones of its connection are answered: it changes what they rest on,
    /// or tells of what they have done.
    pub(crate) fn waits_for_earlier(&self, spec: &Spec) -> bool {
        matches!(
            spec.name,
            "swapdb"
                | "config|set"
                | "acl|setuser"
                | "acl|deluser"
                | "script|load"
                | "script|exists"
                | "script|flush"
                | "function|load"
                | "function|delete"
                | "function|flush"
                | "function|restore"
                | "function|list"
                | "function|dump"
                | "function|stats"
                | "sihai|remove"
                | "wait"
                | "sync"
                | "psync"
                | "waitaof"
                | "migrate"
                | "exec"
                | "watch"
                | "subscribe"
                | "psubscribe"
                | "ssubscribe"
                | "publish"
                | "spublish"
                | "info"
                | "memory|stats"
                | "shutdown"
                | "sihai|status"
                | "cluster|countkeysinslot"
                | "cluster|getkeysinslot"
        )
    }

    /// Answers a command that isn't for a shard.
    pub(crate) fn answer_here(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        let container = spec.name.split_once('|').map_or(spec.name, |(container, _)| container);
        let answered = match container {
            _ if spec.group == command::spec::Group::PubSub => self.about_channels(slot, spec, words),
            "acl" => self.about_users(slot, spec, words),
            "client" => self.about_clients(slot, spec, words),
            "cluster" => self.about_cluster(slot, words),
            "sihai" => self.about_sihai(slot, spec, words),
            "monitor" => {
                self.begin_monitoring(slot);
                Ok(())
            }
            "script" => self.about_scripts(slot, spec, words),
            "function" => self.about_functions(slot, spec, words),
            "slowlog" => self.about_slow_log(slot, spec, words),
            "latency" => self.about_latency(slot, spec, words),
            "debug" => self.debug(slot, words),
            "info" | "time" | "lolwut" | "swapdb" | "wait" | "waitaof" | "command" | "config" | "memory" => {
                self.about_server(slot, spec, words)
            }
            "save" | "bgsave" | "bgrewriteaof" | "lastsave" | "role" | "replicaof" | "slaveof"
            | "failover" | "shutdown" | "module" | "pfselftest" => self.about_operations(slot, spec, words),
            "migrate" => self.migrate(slot, spec, words).map_err(Cow::Owned),
            "sync" | "psync" => self.begin_export(slot, spec),
            "replconf" => self.about_replication(slot, words),
            "object" | "xgroup" | "xinfo" => self.explain(slot, container),
            _ => self.about_connection(slot, spec, words),
        };
        if let Err(text) = answered {
            self.refuse(slot, text);
        }
    }

    /// Answers HELP of a command whose other subcommands are a shard's.
    fn explain(&mut self, slot: u32, container: &str) -> Answered {
        let spec = command::lookup(container.as_bytes()).ok_or("ERR there is no such command")?;
        self.reply(slot, |reply| command::introspect::help(spec, reply));
        Ok(())
    }

    /// Answers at once, in the client's version of the protocol.
    fn reply(&mut self, slot: u32, write: impl FnOnce(&mut Writer<'_>)) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let protocol = client.protocol;
        self.hub.clients.answer_now(slot, |out| write(&mut Writer::new(out, protocol)));
    }

    fn reply_status(&mut self, slot: u32, status: &str) -> Answered {
        self.reply(slot, |reply| reply.simple(status));
        Ok(())
    }

    fn reply_ok(&mut self, slot: u32) -> Answered {
        self.reply(slot, |reply| reply.ok());
        Ok(())
    }

    /// Has the meta group make a change; the client hears when it is made. What comes behind on the connection waits,
    /// because it rests on it.
    fn change_meta(&mut self, slot: u32, words: &[&[u8]], command: &MetaCommand) {
        let ticket = self.hub.clients.ticket(slot, None);
        let Some(client) = self.hub.clients.get(slot) else { return };
        client.held = true;
        let spec = client.current;
        self.asked_of_meta.push((
            ticket,
            spec,
            words.iter().map(|word| Bytes::copy_from_slice(word)).collect(),
        ));
        self.write(GroupId::META, Waiter::Meta(ticket), &Op::Meta(&command.to_bytes()));
    }

    /// The same for a client that waits already, and hears this if it is made.
    pub(crate) fn change_meta_for(&mut self, ticket: Ticket, command: &MetaCommand, reply: Option<Bytes>) {
        if let Some(reply) = reply {
            self.scripts.replies.push((ticket, reply));
        }
        self.write(GroupId::META, Waiter::Meta(ticket), &Op::Meta(&command.to_bytes()));
    }
}

/// A word of a client, as text for a message.
fn shown(word: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(word)
}

/// Whether a word is this option, in any case.
fn is(word: &[u8], option: &str) -> bool {
    word.eq_ignore_ascii_case(option.as_bytes())
}

/// `on` or `off`.
fn on_off(word: &[u8]) -> Result<bool, Cow<'static, str>> {
    match word {
        _ if is(word, "on") => Ok(true),
        _ if is(word, "off") => Ok(false),
        _ => Err(command::Error::Syntax.text().into_owned().into()),
    }
}
