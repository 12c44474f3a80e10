//! CLIENT TRACKING and what belongs to it: how a client wants to hear of changes of what it has read.

use super::{Answered, is};
use crate::api::ClientId;
use crate::node::Node;
use crate::tracking::Tracker;
use bytes::Bytes;
use command::Error;
use resp::number::parse_integer;
use std::borrow::Cow;
use std::collections::BTreeSet;

const OTHER_BROADCAST: &str = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
    re-enabling it with a different mode.";
const OTHER_OPTION: &str = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
    re-enabling it with a different mode.";
const CACHING_WITHOUT: &str = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
    OPTOUT mode enabled";
const NOT_OPT_IN: &str = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
const NOT_OPT_OUT: &str = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";

/// What CLIENT TRACKING ON asks for, and its prefixes in their order.
#[derive(Debug, Default)]
struct Wanted {
    tracker: Tracker,
    prefixes: Vec<Bytes>,
}

fn syntax() -> Cow<'static, str> {
    Error::Syntax.text().into_owned().into()
}

impl Wanted {
    fn parse(words: &[&[u8]]) -> Result<Self, Cow<'static, str>> {
        let mut wanted = Self::default();
        let mut rest = words;
        while let [option, behind @ ..] = rest {
            rest = behind;
            match (option.to_ascii_lowercase().as_slice(), behind) {
                (b"redirect", [id, behind @ ..]) => {
                    rest = behind;
                    if wanted.tracker.redirect.is_some() {
                        return Err("ERR A client can only redirect to a single other client".into());
                    }
                    let id = parse_integer(id).ok_or_else(|| Error::NotAnInteger.text().into_owned())?;
                    wanted.tracker.redirect = Some(ClientId(u64::try_from(id).unwrap_or(0)));
                }
                (b"prefix", [prefix, behind @ ..]) => {
                    rest = behind;
                    wanted.prefixes.push(Bytes::copy_from_slice(prefix));
                }
                (b"bcast", _) => wanted.tracker.broadcast = true,
                (b"optin", _) => wanted.tracker.opt_in = true,
                (b"optout", _) => wanted.tracker.opt_out = true,
                (b"noloop", _) => wanted.tracker.no_loop = true,
                _ => return Err(syntax()),
            }
        }
        Ok(wanted)
    }

    /// Whether it goes together, and with what is set already.
    fn check(&self, before: Option<&Tracker>) -> Result<(), Cow<'static, str>> {
        let Tracker { broadcast, opt_in, opt_out, .. } = self.tracker;
        if !broadcast && !self.prefixes.is_empty() {
            return Err("ERR PREFIX option requires BCAST mode to be enabled".into());
        }
        if before.is_some_and(|before| before.broadcast != broadcast) {
            return Err(OTHER_BROADCAST.into());
        }
        if broadcast && (opt_in || opt_out) {
            return Err("ERR OPTIN and OPTOUT are not compatible with BCAST".into());
        }
        if opt_in && opt_out {
            return Err("ERR You can't specify both OPTIN mode and OPTOUT mode".into());
        }
        if before.is_some_and(|before| (opt_in && before.opt_out) || (opt_out && before.opt_in)) {
            return Err(OTHER_OPTION.into());
        }
        for (at, prefix) in self.prefixes.iter().enumerate() {
            let existing = before.iter().flat_map(|before| &before.prefixes);
            if let Some(other) = existing.into_iter().find(|other| overlap(other, prefix)) {
                return Err(collision(prefix, "an existing prefix", other));
            }
            if let Some(other) = self.prefixes[at + 1..].iter().find(|other| overlap(other, prefix)) {
                return Err(collision(prefix, "another provided prefix", other));
            }
        }
        Ok(())
    }
}

/// Whether one is a prefix of the other.
fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn collision(prefix: &[u8], what: &str, other: &[u8]) -> Cow<'static, str> {
    let (prefix, other) = (super::shown(prefix), super::shown(other));
    format!(
        "ERR Prefix '{prefix}' overlaps with {what} '{other}'. Prefixes for a single client must not overlap."
    )
    .into()
}

impl Node {
    /// CLIENT TRACKING ON or OFF.
    pub(super) fn set_tracking(&mut self, slot: u32, switch: &[u8], words: &[&[u8]]) -> Answered {
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        let id = client.id;
        let wanted = Wanted::parse(words)?;
        if let Some(target) = wanted.tracker.redirect
            && self.hub.clients.open_slot(target).is_none()
        {
            return Err("ERR The client ID you want redirect to does not exist".into());
        }
        if is(switch, "off") {
            self.forget_tracker(id);
            return self.reply_ok(slot);
        } else if !is(switch, "on") {
            return Err(syntax());
        }
        wanted.check(self.tracking.of(id))?;
        let mut prefixes: BTreeSet<Bytes> = wanted.prefixes.into_iter().collect();
        if wanted.tracker.broadcast && prefixes.is_empty() {
            prefixes.insert(Bytes::new());
        }
        let mut tracker = wanted.tracker;
        tracker.prefixes = prefixes;
        self.tracking.enable(id, tracker);
        self.note_trackers();
        self.reply_ok(slot)
    }

    /// CLIENT CACHING: about the next command.
    pub(super) fn set_caching(&mut self, slot: u32, answer: &[u8]) -> Answered {
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        let id = client.id;
        let tracker = self.tracking.of_mut(id).ok_or(CACHING_WITHOUT)?;
        match answer {
            _ if is(answer, "yes") && !tracker.opt_in => return Err(NOT_OPT_IN.into()),
            _ if is(answer, "no") && !tracker.opt_out => return Err(NOT_OPT_OUT.into()),
            _ if is(answer, "yes") || is(answer, "no") => tracker.caching = true,
            _ => return Err(syntax()),
        }
        self.reply_ok(slot)
    }

    /// Who hears in a client's place: 0 if it hears itself, -1 if it doesn't want to.
    pub(super) fn redirection(&self, id: ClientId) -> i64 {
        let Some(tracker) = self.tracking.of(id) else { return -1 };
        tracker.redirect.map_or(0, |target| target.0 as i64)
    }

    /// CLIENT TRACKINGINFO.
    pub(super) fn tracking_info(&mut self, slot: u32) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let id = client.id;
        let redirection = self.redirection(id);
        let tracker = self.tracking.of(id);
        let off = tracker.is_none();
        let tracker = tracker.cloned().unwrap_or_default();
        let flags = [
            (off, "off"),
            (!off, "on"),
            (tracker.broadcast, "bcast"),
            (tracker.opt_in, "optin"),
            (tracker.opt_in && tracker.caching, "caching-yes"),
            (tracker.opt_out, "optout"),
            (tracker.opt_out && tracker.caching, "caching-no"),
            (tracker.no_loop, "noloop"),
            (tracker.broken, "broken_redirect"),
        ];
        let flags: Vec<&str> = flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect();
        self.reply(slot, |reply| {
            reply.map(3);
            reply.text("flags");
            reply.set(flags.len());
            flags.iter().for_each(|flag| reply.text(flag));
            reply.text("redirect");
            reply.integer(redirection);
            reply.text("prefixes");
            reply.array(tracker.prefixes.len());
            tracker.prefixes.iter().for_each(|prefix| reply.bulk(prefix));
        });
    }
}
