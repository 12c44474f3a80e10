//! How a host without an identity becomes a member: the first one founds the cluster, the others ask one member after
//! the other until they are welcomed, as the server's driver does.

use super::{Event, MILLI, Program, SECOND, World};
use base::{NodeId, Rng};
use node::api::{Config, Input, JoinReply, JoinRequest, PeerAddress};
use storage::Op;

impl<P: Program> World<P> {
    pub(super) fn begin_membership(&mut self, host: usize) {
        if host == 0 && self.homes.is_empty() {
            let cluster = number(&mut self.hosts[host].rng);
            let addresses = self.hosts[host].addresses.clone();
            let ops = P::found(&Config { addresses, ..self.settings.config.clone() }, cluster);
            self.tell(|| format!("host {host} founds the cluster"));
            return self.settle(host, &ops, Vec::new());
        }
        let this = &self.hosts[host];
        if self.settings.bugs.wiped_under_old_name && this.node != NodeId::NONE {
            let others =
                self.hosts.iter().filter(|other| other.node != this.node && other.node != NodeId::NONE);
            let peers = others
                .map(|other| PeerAddress { node: other.node, address: other.addresses.peer.clone() })
                .collect();
            let ops = P::join(this.cluster, this.node);
            return self.settle(host, &ops, peers);
        }
        let this = &mut self.hosts[host];
        this.nonce = Some(number(&mut this.rng));
        let token = this.token;
        self.ask_join(host, token);
    }

    /// Writes an identity and starts with it.
    fn settle(&mut self, host: usize, ops: &[Op], peers: Vec<PeerAddress>) {
        let written = match self.open(host) {
            Ok((mut store, _)) => store.write(ops).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        self.hosts[host].platters.iter().for_each(|platter| platter.disk.kill());
        match written.and_then(|_| self.open(host).map_err(|error| error.to_string())) {
            Ok((store, recovery)) => self.start(host, store, recovery, peers),
            Err(error) => {
                self.tell(|| format!("host {host} can't write who it is: {error}"));
                self.replace(host);
            }
        }
    }

    pub(super) fn ask_join(&mut self, host: usize, token: u64) {
        let hosts = self.hosts.len();
        let this = &mut self.hosts[host];
        let Some(nonce) = this.nonce.filter(|_| token == this.token) else { return };
        self.queue.plan(self.now + SECOND, Event::AskJoin { host, token });
        let target = loop {
            let target = this.next_target;
            this.next_target = (target + 1) % hosts;
            if target != host {
                break target;
            }
        };
        let request = JoinRequest { nonce, addresses: this.addresses.clone() };
        if !this.is_paused() && self.is_open(host, target) {
            let at = self.now + self.chances.network.between(1, 5) * MILLI;
            self.queue.plan(at, Event::JoinAsked { host: target, asker: host, token, request });
        }
    }

    pub(super) fn join_asked(&mut self, host: usize, asker: usize, token: u64, request: JoinRequest) {
        // The ticket says who asked, so that nobody else needs to know.
        let ticket = token * self.hosts.len() as u64 + asker as u64;
        self.give(host, Input::Join { ticket, request });
    }

    pub(super) fn answer_join(&mut self, host: usize, ticket: u64, reply: JoinReply) {
        let hosts = self.hosts.len() as u64;
        let (token, asker) = (ticket / hosts, (ticket % hosts) as usize);
        if self.is_open(host, asker) {
            let at = self.now + self.chances.network.between(1, 5) * MILLI;
            self.queue.plan(at, Event::JoinAnswered { host: asker, token, reply });
        }
    }

    pub(super) fn join_answered(&mut self, host: usize, token: u64, reply: JoinReply) {
        if token != self.hosts[host].token || self.hosts[host].nonce.is_none() {
            return;
        }
        match reply {
            JoinReply::Welcome { cluster, node, peers } => {
                self.tell(|| format!("host {host} is welcome as node {node}"));
                self.settle(host, &P::join(cluster, node), peers);
            }
            JoinReply::Refused(why) => self.tell(|| format!("host {host} is refused: {why}")),
        }
    }
}

fn number(rng: &mut Rng) -> u128 {
    u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
}
