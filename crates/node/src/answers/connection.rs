//! What a connection says about itself: who it is, which protocol it speaks, which database it means.

use super::{Answered, is, shown};
use crate::clients::ReplyMode;
use crate::node::Node;
use crate::users::DEFAULT;
use crate::views::REDIS_VERSION;
use base::DatabaseIndex;
use command::{Error, Spec};
use resp::Protocol;
use resp::number::parse_integer;

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";
const HELLO_UNAUTHENTICATED: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
    HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version \
    at the same time";

/// Whether a name or another text that CLIENT LIST shows leaves its line readable.
pub(super) fn is_showable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

impl Node {
    pub(super) fn about_connection(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) -> Answered {
        match (spec.name, words) {
            ("ping", [_]) => self.ping(slot, None),
            ("ping", [_, text]) => self.ping(slot, Some(text)),
            ("echo", [_, text]) => self.reply(slot, |reply| reply.bulk(text)),
            ("select", [_, index]) => return self.select(slot, index),
            ("auth", _) => return self.auth(slot, words),
            ("hello", _) => return self.hello(slot, words[0], &words[1..]),
            ("quit", _) => {
                self.reply(slot, |reply| reply.ok());
                self.hang_up(slot);
            }
            ("reset", _) => self.reset(slot),
            // Whichever node a cluster client asks, it is answered; there is nothing to switch.
            ("readonly" | "readwrite" | "asking", _) => return self.reply_ok(slot),
            ("ping", _) => return Err(Error::Arity("ping").text().into_owned().into()),
            (name, _) => return Err(format!("ERR '{name}' isn't answered by this release").into()),
        }
        Ok(())
    }

    fn select(&mut self, slot: u32, word: &[u8]) -> Answered {
        let index = command::words::database_index(word).map_err(|error| error.text().into_owned())?;
        if self.database(index).is_none() {
            return Err(Error::DatabaseIndex.text().into_owned().into());
        }
        if let Some(client) = self.hub.clients.get(slot) {
            client.database = index;
        }
        self.reply_ok(slot)
    }

    fn auth(&mut self, slot: u32, words: &[&[u8]]) -> Answered {
        match words {
            [_, _] if self.view.users.default().user().any_password => {
                Err("ERR AUTH <password> called without any password configured for the \
                default user. Are you sure your configuration is correct?"
                    .into())
            }
            [command, password] => {
                self.authenticate(slot, command, DEFAULT, password)?;
                self.reply_ok(slot)
            }
            [command, user, password] => {
                self.authenticate(slot, command, user, password)?;
                self.reply_ok(slot)
            }
            _ => Err(Error::Syntax.text().into_owned().into()),
        }
    }

    /// Lets a client in that gives the right name and password. The gateway widens what it may send.
    fn authenticate(&mut self, slot: u32, command: &[u8], user: &[u8], password: &[u8]) -> Answered {
        let Some(access) =
            self.view.users.get(user).filter(|access| access.user().accepts(password)).cloned()
        else {
            self.note_wrong_password(slot, user, command);
            return Err(WRONG_PASSWORD.into());
        };
        if let Some(client) = self.hub.clients.get(slot) {
            client.become_user(access, true);
        }
        Ok(())
    }

    /// HELLO changes nothing unless all of it can be done.
    fn hello(&mut self, slot: u32, command: &[u8], words: &[&[u8]]) -> Answered {
        let mut protocol = None;
        if let Some(version) = words.first() {
            protocol = Some(match parse_integer(version) {
                Some(2) => Protocol::Resp2,
                Some(3) => Protocol::Resp3,
                Some(_) => return Err("NOPROTO unsupported protocol version".into()),
                None => return Err("ERR Protocol version is not an integer or out of range".into()),
            });
        }
        let (mut credentials, mut name) = (None, None);
        let mut rest = words.get(1..).unwrap_or_default();
        loop {
            rest = match rest {
                [] => break,
                [option, user, password, rest @ ..] if is(option, "auth") => {
                    credentials = Some((*user, *password));
                    rest
                }
                [option, given, rest @ ..] if is(option, "setname") => {
                    name = Some(*given);
                    rest
                }
                [option, ..] => {
                    return Err(format!("ERR Syntax error in HELLO option '{}'", shown(option)).into());
                }
            };
        }
        if name.is_some_and(|name| !is_showable(name)) {
            return Err(BAD_NAME.into());
        }
        if let Some((user, password)) = credentials {
            self.authenticate(slot, command, user, password)?;
        }
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        if !client.authenticated {
            return Err(HELLO_UNAUTHENTICATED.into());
        }
        client.protocol = protocol.unwrap_or(client.protocol);
        if let Some(name) = name {
            client.name = name.to_vec();
        }
        let (id, number) = (client.id.0, if client.protocol == Protocol::Resp3 { 3 } else { 2 });
        self.reply(slot, |reply| {
            reply.map(7);
            for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
                reply.text(field);
                reply.text(value);
            }
            reply.text("proto");
            reply.integer(number);
            reply.text("id");
            reply.count(id);
            for (field, value) in [("mode", "standalone"), ("role", "master")] {
                reply.text(field);
                reply.text(value);
            }
            reply.text("modules");
            reply.array(0);
        });
        Ok(())
    }

    /// Makes the connection what it was when it was new.
    fn reset(&mut self, slot: u32) {
        let (user, open) = (self.view.users.default().clone(), self.is_open());
        let Some(client) = self.hub.clients.get(slot) else { return };
        client.protocol = Protocol::Resp2;
        client.database = DatabaseIndex(0);
        client.name = Vec::new();
        client.become_user(user, open);
        client.reply_mode = ReplyMode::On;
        client.no_evict = false;
        client.no_touch = false;
        client.listens = false;
        client.transaction.discard();
        let id = client.id;
        self.subscriptions.forget(id);
        self.forget_tracker(id);
        self.monitors.remove(&id);
        self.reply(slot, |reply| reply.simple("RESET"));
    }

    pub(super) fn set_name(&mut self, slot: u32, name: &[u8]) -> Answered {
        if !is_showable(name) {
            return Err(BAD_NAME.into());
        }
        if let Some(client) = self.hub.clients.get(slot) {
            client.name = name.to_vec();
        }
        self.reply_ok(slot)
    }
}
