//! Clients' connections: in order, whole, and broken only by one of their ends.

use super::{Event, MILLI, Program, World};
use crate::workload::Order;
use bytes::Bytes;
use node::api::{ClientId, Input};
use std::collections::{BTreeMap, VecDeque};

/// All connections of clients.
#[derive(Debug)]
pub(super) struct Connections {
    open: BTreeMap<u64, Connection>,
    /// Each client's connection.
    current: Vec<Option<u64>>,
    /// Connections that their clients have broken, and whose they were.
    broken: BTreeMap<u64, usize>,
}

#[derive(Debug)]
struct Connection {
    client: usize,
    host: usize,
    /// The process that it leads to.
    start: u64,
    /// When the last thing arrives at the host, and at the client.
    arrives: [u64; 2],
    reading: bool,
    held: VecDeque<Bytes>,
}

impl Connections {
    pub(super) fn new(clients: usize) -> Self {
        Self { open: BTreeMap::new(), current: vec![None; clients], broken: BTreeMap::new() }
    }
}

impl<P: Program> World<P> {
    pub(super) fn carry_out_orders(&mut self) {
        while !self.orders.is_empty() {
            for order in std::mem::take(&mut self.orders) {
                match order {
                    Order::Connect { client, host } => self.connect(client, host),
                    Order::Send { client, bytes } => self.send(client, bytes),
                    Order::HangUp { client } => self.hang_up(client),
                    Order::Alarm { client, at, token } => self.queue.plan(at, Event::Alarm { client, token }),
                }
            }
        }
    }

    fn way(&mut self) -> u64 {
        let rng = &mut self.chances.network;
        rng.between(20, 300) * 1_000 + if rng.chance(1, 300) { rng.below(30) * MILLI } else { 0 }
    }

    /// When something sent now on a connection arrives, after what was sent before.
    fn arrival(&mut self, connection: u64, side: usize) -> u64 {
        let at = self.now + self.way();
        let Some(this) = self.connections.open.get_mut(&connection) else { return at };
        this.arrives[side] = at.max(this.arrives[side] + 1);
        this.arrives[side]
    }

    fn connect(&mut self, client: usize, host: usize) {
        let name = self.name();
        self.connections.current[client] = Some(name);
        let Some(start) = self.hosts[host].process.as_ref().map(|process| process.start) else {
            let at = self.now + self.way();
            return self.queue.plan(at, Event::ClientClosed { client, connection: name });
        };
        let connection =
            Connection { client, host, start, arrives: [0; 2], reading: true, held: VecDeque::new() };
        self.connections.open.insert(name, connection);
        let there = self.arrival(name, 0);
        self.queue.plan(there, Event::ClientOpened { connection: name });
        let back = there + self.way();
        if let Some(connection) = self.connections.open.get_mut(&name) {
            connection.arrives[1] = back;
        }
        self.queue.plan(back, Event::ClientConnected { connection: name });
    }

    /// The host and process of a connection, if that still runs.
    fn end_of(&mut self, connection: u64) -> Option<usize> {
        let Connection { host, start, .. } = *self.connections.open.get(&connection)?;
        self.process(host, start).map(|_| host)
    }

    pub(super) fn client_opened(&mut self, connection: u64) {
        if let Some(host) = self.end_of(connection) {
            let client = self.connections.open[&connection].client;
            let address = format!("10.0.1.{}:{}", client + 1, 1_024 + connection % 60_000);
            self.give(host, Input::Connected { client: ClientId(connection), address, loopback: true });
        }
    }

    pub(super) fn client_connected(&mut self, connection: u64) {
        let Some(client) = self.connections.open.get(&connection).map(|this| this.client) else { return };
        if self.connections.current[client] == Some(connection) {
            self.workload.connected(client, self.now, &mut self.orders);
        }
    }

    fn send(&mut self, client: usize, bytes: Vec<u8>) {
        let Some(connection) = self.connections.current[client] else { return };
        let mut bytes = Bytes::from(bytes);
        // Now and then in two pieces, as the network likes.
        if bytes.len() > 1 && self.chances.network.chance(1, 8) {
            let cut = self.chances.network.between(1, bytes.len() as u64) as usize;
            let first = bytes.split_to(cut);
            let at = self.arrival(connection, 0);
            self.queue.plan(at, Event::ClientSent { connection, bytes: first });
        }
        let at = self.arrival(connection, 0);
        self.queue.plan(at, Event::ClientSent { connection, bytes });
    }

    pub(super) fn client_sent(&mut self, connection: u64, bytes: Bytes) {
        let Some(host) = self.end_of(connection) else { return };
        let Some(this) = self.connections.open.get_mut(&connection) else { return };
        if this.reading {
            self.give(host, Input::Received { client: ClientId(connection), bytes });
        } else {
            this.held.push_back(bytes);
        }
    }

    pub(super) fn set_reading(&mut self, host: usize, client: ClientId, on: bool) {
        let Some(this) = self.connections.open.get_mut(&client.0) else { return };
        this.reading = on;
        if on {
            for bytes in std::mem::take(&mut this.held) {
                self.give(host, Input::Received { client, bytes });
            }
        }
    }

    /// The client breaks its connection.
    fn hang_up(&mut self, client: usize) {
        let Some(connection) = self.connections.current[client].take() else { return };
        let at = self.arrival(connection, 0);
        self.connections.broken.insert(connection, client);
        if let Some(Connection { host, start, .. }) = self.connections.open.remove(&connection) {
            self.queue.plan(at, Event::ClientGone { connection, host, start });
        }
    }

    pub(super) fn client_gone(&mut self, connection: u64, host: usize, start: u64) {
        if self.process(host, start).is_some() {
            let client = ClientId(connection);
            // Some say first that they will send no more.
            if self.chances.network.chance(1, 2) {
                self.give(host, Input::Finished { client });
            }
            self.give(host, Input::Closed { client });
        }
    }

    pub(super) fn reply(&mut self, host: usize, client: ClientId, bytes: Bytes) {
        if self.end_of(client.0) == Some(host) {
            let at = self.arrival(client.0, 1);
            self.queue.plan(at, Event::Replied { connection: client.0, bytes });
        } else {
            self.said_in_vain(client.0, &bytes);
        }
    }

    /// A node has answered who had gone: as far as it knows, that was heard.
    fn said_in_vain(&mut self, connection: u64, bytes: &[u8]) {
        if let Some(&client) = self.connections.broken.get(&connection) {
            self.workload.said_in_vain(client, bytes);
        }
    }

    pub(super) fn replied(&mut self, connection: u64, bytes: &[u8]) {
        let Some(client) = self.connections.open.get(&connection).map(|this| this.client) else {
            return self.said_in_vain(connection, bytes);
        };
        if self.connections.current[client] == Some(connection) {
            self.workload.received(client, bytes, self.now, &mut self.orders);
        }
    }

    /// The node breaks the connection.
    pub(super) fn hang_up_on(&mut self, client: ClientId) {
        let Some(this) = self.connections.open.get(&client.0).map(|this| this.client) else { return };
        let at = self.arrival(client.0, 1);
        self.queue.plan(at, Event::ClientClosed { client: this, connection: client.0 });
    }

    /// The process is gone, and all its connections with it.
    pub(super) fn host_left_clients(&mut self, host: usize) {
        let left: Vec<(u64, usize)> = self
            .connections
            .open
            .iter()
            .filter(|(_, connection)| connection.host == host)
            .map(|(&name, connection)| (name, connection.client))
            .collect();
        for (connection, client) in left {
            let at = self.arrival(connection, 1);
            self.queue.plan(at, Event::ClientClosed { client, connection });
        }
    }

    pub(super) fn client_closed(&mut self, client: usize, connection: u64) {
        self.connections.open.remove(&connection);
        if self.connections.current[client] == Some(connection) {
            self.connections.current[client] = None;
            self.workload.closed(client, self.now, &mut self.orders);
        }
    }

    pub(super) fn alarm(&mut self, client: usize, token: u64) {
        let connection = self.connections.current[client];
        let host = connection.and_then(|name| self.connections.open.get(&name)).map(|this| this.host);
        let hindered = host.map_or(u64::MAX, |host| match self.hosts[host].paused_until {
            Some(_) => u64::MAX,
            None => self.hosts[host].hindered,
        });
        self.workload.alarm(client, token, self.now, hindered, &mut self.orders);
    }
}
