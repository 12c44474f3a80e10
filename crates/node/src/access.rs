//! Whether a client may run a command: asked by the gateway before anything else is done, and again by EXEC. Who may do everything pays
//! one branch for it.
//!
//! Each connection holds its user's compiled rules. When meta's users change, every connection gets the new ones before the next
//! command, and what they no longer allow ends: connections of users that are gone, listening to channels, waiting for keys.

use crate::answers::describe_client;
use crate::api::{ClientId, Effect};
use crate::clients::Client;
use crate::node::Node;
use crate::subscriptions::Kind;
use crate::users::log::{Context, Reason, Refused};
use crate::users::{Access, DEFAULT, Denied};
use bytes::Bytes;
use command::{Flags, Spec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The users of the cluster as this node knows them, compiled.
#[derive(Debug)]
pub(crate) struct Users {
    /// As of this epoch of theirs; `None`: nothing is known yet.
    as_of: Option<u64>,
    all: BTreeMap<Bytes, Arc<Access>>,
    default: Arc<Access>,
}

impl Users {
    pub fn unknown() -> Self {
        Self { as_of: None, all: BTreeMap::new(), default: Arc::new(Access::nobody()) }
    }

    /// Who connections are until they say otherwise.
    pub fn default(&self) -> &Arc<Access> {
        &self.default
    }

    pub fn get(&self, name: &[u8]) -> Option<&Arc<Access>> {
        self.all.get(name)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Access>> {
        self.all.values()
    }
}

impl Client {
    /// Who it is from now on.
    pub(crate) fn become_user(&mut self, user: Arc<Access>, authenticated: bool) {
        self.trusted = authenticated && user.is_unrestricted();
        self.user = user;
        self.authenticated = authenticated;
    }
}

impl Node {
    /// Whether clients need no password.
    pub(crate) fn is_open(&self) -> bool {
        self.view.users.default().user().is_open()
    }

    /// Whether a client that may not do everything may do this; else it is told why not.
    pub(crate) fn admit(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> bool {
        let open = self.is_open();
        let Some(client) = self.hub.clients.get(slot) else { return false };
        if !client.authenticated {
            if open {
                // There was a password when it connected, and there is none any more.
                let user = client.user.clone();
                client.become_user(user, true);
            } else if !spec.flags.has(Flags::NO_AUTH) {
                self.turn_down(slot, spec, "NOAUTH Authentication required.");
                return false;
            }
        }
        let Some(client) = self.hub.clients.get(slot) else { return false };
        let Err(denied) = client.user.check(spec, words) else { return true };
        let gathers = client.transaction.is_gathering();
        if gathers && matches!(denied, Denied::Option(_)) {
            // That is answered in its place by EXEC.
            return true;
        }
        let context = if gathers { Context::Multi } else { Context::Toplevel };
        self.note_denied(slot, spec, words, denied, context);
        self.turn_down(slot, spec, &denied.text(spec));
        false
    }

    /// Refuses a command, and with it the transaction that it is part of.
    fn turn_down(&mut self, slot: u32, spec: &Spec, error: &str) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        client.transaction.refuse();
        if spec.name == "exec" {
            client.transaction.discard();
            self.refuse(slot, format_args!("EXECABORT Transaction discarded because of: {error}"));
        } else {
            self.refuse(slot, error);
        }
    }

    /// What of a gathered command its client may not do any more.
    pub(crate) fn denied(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) -> Option<Denied> {
        let client = self.hub.clients.get(slot)?;
        if client.trusted {
            return None;
        }
        client.user.check(spec, words).err()
    }

    pub(crate) fn note_denied(
        &mut self,
        slot: u32,
        spec: &Spec,
        words: &[&[u8]],
        denied: Denied,
        context: Context,
    ) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let user = client.user.name().to_vec();
        let word = |at: usize| words.get(at).map(|word| word.to_vec()).unwrap_or_default();
        let (reason, object) = match denied {
            Denied::Command => (Reason::Command, spec.name.as_bytes().to_vec()),
            Denied::Key(at) => (Reason::Key, word(at)),
            Denied::Channel(at) => (Reason::Channel, word(at)),
            Denied::Option(_) => return,
        };
        self.note_refused(slot, Refused { reason, context, object, user });
    }

    /// Somebody said that it was `user`, and couldn't prove it.
    pub(crate) fn note_wrong_password(&mut self, slot: u32, user: &[u8], command: &[u8]) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let context = if client.transaction.is_gathering() { Context::Multi } else { Context::Toplevel };
        let (object, user) = (command.to_vec(), user.to_vec());
        self.note_refused(slot, Refused { reason: Reason::Auth, context, object, user });
    }

    fn note_refused(&mut self, slot: u32, refused: Refused) {
        let Some(id) = self.hub.clients.get(slot).map(|client| client.id) else { return };
        let client = describe_client(self, id);
        let (now, length_max) = (self.hub.wall(), self.hub.config.acl_log_length_max);
        self.access_log.note(refused, client, now, length_max);
    }

    /// Takes over what meta says of users, if that has changed.
    pub(crate) fn refresh_users(&mut self) {
        let Some(meta) = self.meta() else { return };
        if self.view.users.as_of == Some(meta.users_epoch()) {
            return;
        }
        let known = &self.view.users.all;
        let compile = |(name, user): (&Bytes, &crate::users::User)| {
            let same = known.get(name).filter(|access| access.user() == user);
            let access = same.cloned().unwrap_or_else(|| Arc::new(Access::new(name.clone(), user.clone())));
            (name.clone(), access)
        };
        let all: BTreeMap<Bytes, Arc<Access>> = meta.users().iter().map(compile).collect();
        let Some(default) = all.get(DEFAULT).cloned() else { return };
        self.view.users = Users { as_of: Some(meta.users_epoch()), all, default };
        let clients: Vec<ClientId> = self.hub.clients.iter().map(|client| client.id).collect();
        for id in clients {
            self.refresh_user_of(id);
        }
    }

    /// A connection gets the rules of now, and what they don't allow ends.
    fn refresh_user_of(&mut self, id: ClientId) {
        let Some(slot) = self.hub.clients.slot(id) else { return };
        let Some(client) = self.hub.clients.get(slot) else { return };
        let Some(user) = self.view.users.get(client.user.name()).cloned() else {
            return self.put_out(id);
        };
        if Arc::ptr_eq(&user, &client.user) {
            return;
        }
        let authenticated = client.authenticated;
        client.become_user(user.clone(), authenticated);
        let listens = [(Kind::Channel, false), (Kind::Pattern, true), (Kind::Sharded, false)];
        let may_all = listens.into_iter().all(|(kind, is_pattern)| {
            self.subscriptions.of(id, kind).iter().all(|name| user.may_listen(name, is_pattern))
        });
        if !may_all {
            return self.put_out(id);
        }
        let denied = self.blocked.command_of(id).and_then(|(spec, words)| {
            let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
            let denied = user.check(spec, &words).err()?;
            Some((spec, words.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), denied))
        });
        if let Some((spec, words, denied)) = denied {
            let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
            self.note_denied(slot, spec, &words, denied, Context::Toplevel);
            let error = Bytes::from(format!("-{}\r\n", denied.text(spec)));
            self.unblock_client(id, Some(error));
        }
    }

    /// Closes a connection that may not go on: after the answers that it is owed, unless it waits for something that may never come.
    fn put_out(&mut self, id: ClientId) {
        let Some(slot) = self.hub.clients.slot(id) else { return };
        let waits = self.blocked.waits(id);
        let Some(client) = self.hub.clients.get(slot) else { return };
        client.input = Vec::new();
        if client.pending() > 0 && !waits {
            self.hang_up(slot);
        } else {
            self.cut_off(id);
        }
    }

    /// Closes a connection at once.
    pub(crate) fn cut_off(&mut self, id: ClientId) {
        self.client_gone(id);
        self.hub.out.push(Effect::Close { client: id });
    }
}
