//! Channels: who listens, and what is said.

use super::Answered;
use crate::broadcast::Question;
use crate::clients::ReplyMode;
use crate::node::Node;
use crate::subscriptions::Kind;
use bytes::Bytes;
use command::Spec;
use resp::Protocol;

/// What a client that listens may say in version 2 of the protocol, where replies and messages can't be told apart.
const WHILE_LISTENING: &[&str] = &[
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "sunsubscribe",
    "ping",
    "quit",
    "reset",
];

impl Node {
    /// Whether a client can't say this now because it listens.
    pub(crate) fn must_only_listen(&mut self, slot: u32, spec: &Spec) -> bool {
        let Some(client) = self.hub.clients.get(slot) else { return false };
        client.protocol == Protocol::Resp2
            && self.subscriptions.listens(client.id)
            && !WHILE_LISTENING.contains(&spec.name)
    }

    pub(super) fn about_channels(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Answered {
        let bytes = |word: &[u8]| Bytes::copy_from_slice(word);
        let listening = match spec.name {
            "subscribe" => (Kind::Channel, true),
            "unsubscribe" => (Kind::Channel, false),
            "psubscribe" => (Kind::Pattern, true),
            "punsubscribe" => (Kind::Pattern, false),
            "ssubscribe" => (Kind::Sharded, true),
            "sunsubscribe" => (Kind::Sharded, false),
            "publish" | "spublish" => {
                let (channel, message) = (bytes(words[1]), bytes(words[2]));
                let sharded = spec.name == "spublish";
                self.ask_everybody(slot, Question::Publish { sharded, channel, message });
                return Ok(());
            }
            _ => return self.about_listeners(slot, spec, &words[1..]),
        };
        match listening {
            (kind, true) => self.listen(slot, spec, kind, &words[1..]),
            (kind, false) => self.listen_no_more(slot, spec, kind, &words[1..]),
        }
        Ok(())
    }

    fn about_listeners(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Answered {
        let names = |words: &[&[u8]]| words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
        let question = match (spec.short_name(), &words[1..]) {
            ("channels", []) => Question::Names { kind: Kind::Channel, pattern: None },
            ("channels", [pattern]) => {
                Question::Names { kind: Kind::Channel, pattern: Some(Bytes::copy_from_slice(pattern)) }
            }
            ("shardchannels", []) => Question::Names { kind: Kind::Sharded, pattern: None },
            ("shardchannels", [pattern]) => {
                Question::Names { kind: Kind::Sharded, pattern: Some(Bytes::copy_from_slice(pattern)) }
            }
            ("numsub", channels) => Question::Counts { kind: Kind::Channel, names: names(channels) },
            ("shardnumsub", channels) => Question::Counts { kind: Kind::Sharded, names: names(channels) },
            ("numpat", []) => Question::Names { kind: Kind::Pattern, pattern: None },
            ("help", _) => {
                let container = command::lookup(b"pubsub").expect("PUBSUB is in the table");
                self.reply(slot, |reply| command::introspect::help(container, reply));
                return Ok(());
            }
            _ => return Err(command::Error::Arity(spec.name).text().into_owned().into()),
        };
        self.ask_everybody(slot, question);
        Ok(())
    }

    fn listen(&mut self, slot: u32, spec: &Spec, kind: Kind, names: &[&[u8]]) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let id = client.id;
        for name in names {
            let count = self.subscriptions.add(id, kind, name);
            self.note_listens(slot);
            self.confirm(slot, spec.name, Some(name), count);
        }
    }

    fn listen_no_more(&mut self, slot: u32, spec: &Spec, kind: Kind, names: &[&[u8]]) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let id = client.id;
        let all = if names.is_empty() { self.subscriptions.of(id, kind) } else { Vec::new() };
        let names = names.iter().copied().chain(all.iter().map(|name| &name[..]));
        let mut none = true;
        for name in names {
            none = false;
            let count = self.subscriptions.remove(id, kind, name);
            self.note_listens(slot);
            self.confirm(slot, spec.name, Some(name), count);
        }
        if none {
            let [channels, patterns, sharded] = self.subscriptions.counts(id);
            let count = if kind == Kind::Sharded { sharded } else { channels + patterns };
            self.confirm(slot, spec.name, None, count);
        }
    }

    fn note_listens(&mut self, slot: u32) {
        if let Some(client) = self.hub.clients.get(slot) {
            client.listens = self.subscriptions.listens(client.id);
        }
    }

    /// Like every message, it comes whatever CLIENT REPLY says.
    fn confirm(&mut self, slot: u32, what: &str, name: Option<&[u8]>, count: usize) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let mode = std::mem::replace(&mut client.reply_mode, ReplyMode::On);
        self.reply(slot, |reply| {
            reply.push(3);
            reply.text(what);
            reply.bulk_or_null(name);
            reply.count(count as u64);
        });
        if let Some(client) = self.hub.clients.get(slot) {
            client.reply_mode = mode;
        }
    }

    /// PING of a client that listens, in version 2 of the protocol, looks like a message.
    pub(super) fn ping(&mut self, slot: u32, text: Option<&[u8]>) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let listens = client.protocol == Protocol::Resp2 && self.subscriptions.listens(client.id);
        self.reply(slot, |reply| match text {
            text if listens => {
                reply.array(2);
                reply.text("pong");
                reply.bulk(text.unwrap_or_default());
            }
            Some(text) => reply.bulk(text),
            None => reply.simple("PONG"),
        });
    }
}
