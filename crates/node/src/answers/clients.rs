//! CLIENT: the connections of this node, and what is set on them.

use super::connection::is_showable;
use super::{Answered, is, on_off, shown};
use crate::api::ClientId;
use crate::clients::{Client, ReplyMode};
use crate::node::Node;
use base::Time;
use bytes::Bytes;
use command::{Error, Spec};
use resp::Protocol;
use resp::number::parse_integer;
use std::borrow::Cow;
use std::fmt::Write;

/// What a client is told whom CLIENT UNBLOCK … ERROR lets go.
const UNBLOCKED: &[u8] = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";

/// Which connections CLIENT KILL means: those that match everything that is given.
#[derive(Debug, Default)]
struct Filter {
    id: Option<u64>,
    address: Option<Vec<u8>>,
    local_address: Option<Vec<u8>>,
    kind: Option<ClientKind>,
    user: Option<Vec<u8>>,
    seconds_min: Option<u64>,
    skip_me: bool,
}

/// The kinds of connection that Redis knows. All of Sihai's clients are normal ones: nodes have ports of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientKind {
    Normal,
    /// Listens to channels.
    Pubsub,
    Other,
}

impl ClientKind {
    fn parse(word: &[u8]) -> Result<Self, Cow<'static, str>> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Self::Normal),
            b"pubsub" => Ok(Self::Pubsub),
            b"master" | b"replica" | b"slave" => Ok(Self::Other),
            _ => Err(format!("ERR Unknown client type '{}'", shown(word)).into()),
        }
    }
}

impl Filter {
    fn parse(words: &[&[u8]]) -> Result<Self, Cow<'static, str>> {
        let mut filter = Self { skip_me: true, ..Self::default() };
        let (options, rest) = words.as_chunks::<2>();
        for [option, value] in options {
            match option.to_ascii_lowercase().as_slice() {
                b"id" => filter.id = Some(positive(value, "client-id should be greater than 0")?),
                b"addr" => filter.address = Some(value.to_vec()),
                b"laddr" => filter.local_address = Some(value.to_vec()),
                b"type" => filter.kind = Some(ClientKind::parse(value)?),
                b"maxage" => filter.seconds_min = Some(positive(value, "maxage should be greater than 0")?),
                b"user" => filter.user = Some(value.to_vec()),
                b"skipme" if is(value, "yes") => filter.skip_me = true,
                b"skipme" if is(value, "no") => filter.skip_me = false,
                _ => return Err(syntax()),
            }
        }
        if rest.is_empty() { Ok(filter) } else { Err(syntax()) }
    }

    fn takes(&self, client: &Client, kind: ClientKind, asking: ClientId, local: &str, now: Time) -> bool {
        !(self.skip_me && client.id == asking)
            && self.id.is_none_or(|id| id == client.id.0)
            && self.address.as_ref().is_none_or(|address| address == client.address.as_bytes())
            && self.local_address.as_ref().is_none_or(|address| address == local.as_bytes())
            && self.kind.is_none_or(|wanted| wanted == kind)
            && self.user.as_ref().is_none_or(|user| user[..] == client.user.name()[..])
            && self.seconds_min.is_none_or(|seconds| now.since(client.since).as_secs() >= seconds)
    }
}

/// How many bytes a command is as clients send it.
fn request_bytes(words: &[&[u8]]) -> usize {
    let header = |count: usize| count.checked_ilog10().unwrap_or(0) as usize + 1 + "*\r\n".len();
    header(words.len()) + words.iter().map(|word| header(word.len()) + word.len() + 2).sum::<usize>()
}

fn syntax() -> Cow<'static, str> {
    Error::Syntax.text().into_owned().into()
}

fn positive(word: &[u8], otherwise: &str) -> Result<u64, Cow<'static, str>> {
    let number =
        parse_integer(word).and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0);
    number.ok_or_else(|| format!("ERR {otherwise}").into())
}

/// One line of CLIENT LIST, with the fields of Redis that mean something here. `fd` doesn't: a node knows no files.
fn describe(client: &Client, node: &Node, now: Time) -> String {
    let mut flags = String::new();
    let local = &node.hub.config.addresses.client;
    let waits = node.blocked.waits(client.id) || node.pause.waits(client.id);
    let [channels, patterns, sharded] = node.subscriptions.counts(client.id);
    for (set, flag) in [
        (node.monitors.contains(&client.id), 'O'),
        (waits, 'b'),
        (node.subscriptions.listens(client.id), 'P'),
        (client.transaction.is_gathering(), 'x'),
        (client.closing, 'c'),
        (node.tracking.of(client.id).is_some(), 't'),
        (node.tracking.of(client.id).is_some_and(|tracker| tracker.broken), 'R'),
        (node.tracking.of(client.id).is_some_and(|tracker| tracker.broadcast), 'B'),
        (client.no_evict, 'e'),
        (client.no_touch, 'T'),
    ] {
        if set {
            flags.push(flag);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let (output, backlog) = (client.output_bytes() - client.backlog, client.backlog);
    let spare = client.input.capacity() - client.input.len();
    let input = client.input.len() + client.asking;
    let (gathered, room) = (client.transaction.bytes(), client.output_room());
    let memory = client.memory_bytes();
    let events = match (client.stopped, backlog > 0) {
        (false, false) => "r",
        (false, true) => "rw",
        (true, true) => "w",
        (true, false) => "",
    };
    let mut line = String::new();
    // Writing to a String can't fail.
    let _ = write!(
        line,
        "id={} addr={} laddr={local} fd=-1 name={} age={} idle={} flags={flags} db={} sub={channels} psub={patterns} ssub={sharded} multi={} \
         qbuf={input} qbuf-free={spare} argv-mem={} multi-mem={gathered} rbs={room} rbp={room} obl={output} oll={} omem={backlog} tot-mem={memory} events={events} cmd={} \
         user={} redir={} resp={} lib-name={} lib-ver={} watch={}",
        client.id.0,
        client.address,
        shown(&client.name),
        now.since(client.since).as_secs(),
        now.since(client.last_command_at).as_secs(),
        client.database.0,
        client.transaction.len().map_or(-1, |count| count as i64),
        client.asking,
        client.pending(),
        client.last_command,
        shown(client.user.name()),
        node.redirection(client.id),
        if client.protocol == Protocol::Resp3 { 3 } else { 2 },
        shown(&client.library.0),
        shown(&client.library.1),
        client.transaction.watched(),
    );
    line.push('\n');
    line
}

/// What CLIENT INFO says of a connection, without the end of the line.
pub(crate) fn describe_client(node: &Node, id: ClientId) -> String {
    let client = node.hub.clients.iter().find(|client| client.id == id);
    client.map_or_else(String::new, |client| describe(client, node, node.hub.now).trim_end().to_string())
}

impl Node {
    pub(super) fn about_clients(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) -> Answered {
        let now = self.hub.now;
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        match (spec.short_name(), &words[2..]) {
            ("id", _) => {
                let id = client.id.0;
                self.reply(slot, |reply| reply.count(id));
            }
            ("getname", _) => {
                let name = client.name.clone();
                self.reply(slot, |reply| reply.bulk_or_null(Some(&name[..]).filter(|name| !name.is_empty())));
            }
            ("setname", [name]) => return self.set_name(slot, name),
            ("setinfo", [attribute, value]) => return self.set_info(slot, attribute, value),
            ("info", _) => {
                let id = client.id;
                client.asking = request_bytes(words);
                let found = self.hub.clients.iter().find(|client| client.id == id);
                let text = found.map_or_else(String::new, |client| describe(client, self, now));
                self.asked(slot);
                self.reply(slot, |reply| reply.verbatim(*b"txt", text.as_bytes()));
            }
            ("list", arguments) => {
                client.asking = request_bytes(words);
                let listed = self.list_clients(slot, arguments);
                self.asked(slot);
                return listed;
            }
            ("kill", arguments) => return self.kill(slot, arguments),
            ("no-evict", [switch]) => {
                client.no_evict = on_off(switch)?;
                return self.reply_ok(slot);
            }
            ("no-touch", [switch]) => {
                client.no_touch = on_off(switch)?;
                return self.reply_ok(slot);
            }
            ("reply", [mode]) => return self.set_reply_mode(slot, mode),
            ("unblock", arguments) => return self.unblock(slot, arguments),
            ("pause", [millis, rest @ ..]) => return self.pause(slot, millis, rest),
            ("unpause", _) => {
                self.end_pause();
                return self.reply_ok(slot);
            }
            ("tracking", [switch, rest @ ..]) => return self.set_tracking(slot, switch, rest),
            ("caching", [answer]) => return self.set_caching(slot, answer),
            ("getredir", _) => {
                let id = client.id;
                let redirection = self.redirection(id);
                self.reply(slot, |reply| reply.integer(redirection));
            }
            ("trackinginfo", _) => self.tracking_info(slot),
            ("help", _) => self.reply(slot, |reply| command::introspect::help(container(), reply)),
            (name, _) => return Err(format!("ERR 'client|{name}' isn't answered by this release").into()),
        }
        Ok(())
    }

    fn set_info(&mut self, slot: u32, attribute: &[u8], value: &[u8]) -> Answered {
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        let kept = if is(attribute, "lib-name") {
            &mut client.library.0
        } else if is(attribute, "lib-ver") {
            &mut client.library.1
        } else {
            return Err(format!("ERR Unrecognized option '{}'", shown(attribute)).into());
        };
        if !is_showable(value) {
            let attribute = shown(attribute);
            return Err(
                format!("ERR {attribute} cannot contain spaces, newlines or special characters.").into()
            );
        }
        *kept = value.to_vec();
        self.reply_ok(slot)
    }

    fn list_clients(&mut self, slot: u32, arguments: &[&[u8]]) -> Answered {
        let mut ids = None;
        let mut kind = None;
        match arguments {
            [] => {}
            [by, wanted] if is(by, "type") => kind = Some(ClientKind::parse(wanted)?),
            [by, given @ ..] if is(by, "id") && !given.is_empty() => {
                let parsed: Option<Vec<u64>> = given
                    .iter()
                    .map(|id| parse_integer(id).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0))
                    .collect();
                ids = Some(parsed.ok_or("ERR Invalid client ID")?);
            }
            _ => return Err(syntax()),
        }
        let now = self.hub.now;
        let mut text = String::new();
        let of_kind = |client: &&Client| kind.is_none_or(|kind| kind == self.kind_of(client.id));
        for client in self.hub.clients.iter().filter(of_kind) {
            if ids.as_ref().is_none_or(|ids| ids.contains(&client.id.0)) {
                text.push_str(&describe(client, self, now));
            }
        }
        self.reply(slot, |reply| reply.verbatim(*b"txt", text.as_bytes()));
        Ok(())
    }

    fn asked(&mut self, slot: u32) {
        if let Some(client) = self.hub.clients.get(slot) {
            client.asking = 0;
        }
    }

    fn pause(&mut self, slot: u32, millis: &[u8], rest: &[&[u8]]) -> Answered {
        let all = match rest {
            [] => true,
            [mode] if is(mode, "all") => true,
            [mode] if is(mode, "write") => false,
            [_] => return Err("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
            _ => {
                return Err(
                    "ERR unknown subcommand or wrong number of arguments for 'pause'. Try CLIENT HELP."
                        .into(),
                );
            }
        };
        let millis = parse_integer(millis).ok_or("ERR timeout is not an integer or out of range")?;
        let millis = u64::try_from(millis).map_err(|_| "ERR timeout is negative")?;
        // Beyond a thousand years nobody counts.
        self.pause_clients(millis.min(1 << 45), all);
        self.reply_ok(slot)
    }

    fn kind_of(&self, client: ClientId) -> ClientKind {
        if self.subscriptions.listens(client) { ClientKind::Pubsub } else { ClientKind::Normal }
    }

    /// Closes connections: others at once, the one that asks after its answer.
    fn kill(&mut self, slot: u32, arguments: &[&[u8]]) -> Answered {
        let by_address = arguments.len() == 1;
        let filter = match arguments {
            [address] => Filter { address: Some(address.to_vec()), ..Filter::default() },
            _ => Filter::parse(arguments)?,
        };
        if let Some(user) = filter.user.as_ref().filter(|user| self.view.users.get(user).is_none()) {
            return Err(format!("ERR No such user '{}'", shown(user)).into());
        }
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        let (me, now, local) = (client.id, self.hub.now, &self.hub.config.addresses.client);
        let found = self
            .hub
            .clients
            .iter()
            .filter(|client| filter.takes(client, self.kind_of(client.id), me, local, now));
        let found: Vec<ClientId> = found.map(|client| client.id).collect();
        if by_address && found.is_empty() {
            return Err("ERR No such client".into());
        }
        let count = found.len() as u64;
        self.reply(slot, |reply| if by_address { reply.ok() } else { reply.count(count) });
        for id in found {
            if id == me {
                self.hang_up(slot);
            } else {
                self.cut_off(id);
            }
        }
        Ok(())
    }

    /// Ends a client's waiting, as if its time were over or with an error.
    fn unblock(&mut self, slot: u32, arguments: &[&[u8]]) -> Answered {
        let error = match arguments {
            [_] => None,
            [_, how] if is(how, "timeout") => None,
            [_, how] if is(how, "error") => Some(Bytes::from_static(UNBLOCKED)),
            [_, _] => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
            _ => return Err(syntax()),
        };
        let id = parse_integer(arguments[0]).ok_or_else(|| Error::NotAnInteger.text().into_owned())?;
        let client = u64::try_from(id).ok().map(ClientId);
        let waited = client.is_some_and(|client| self.unblock_client(client, error));
        self.reply(slot, |reply| reply.integer(i64::from(waited)));
        Ok(())
    }

    fn set_reply_mode(&mut self, slot: u32, mode: &[u8]) -> Answered {
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        if is(mode, "on") {
            client.reply_mode = ReplyMode::On;
            return self.reply_ok(slot);
        } else if is(mode, "off") {
            client.reply_mode = ReplyMode::Off;
        } else if !is(mode, "skip") {
            return Err(syntax());
        } else if client.reply_mode != ReplyMode::Off {
            client.reply_mode = ReplyMode::SkipNext;
        }
        Ok(())
    }
}

fn container() -> &'static Spec {
    command::lookup(b"client").expect("CLIENT is in the table")
}
