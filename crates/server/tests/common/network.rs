//! A network between nodes that can be cut. Nodes listen on 127.0.0.1 and say that they are reached at `HOST`, where
//! this network listens on the same ports and passes on what comes. Who talks to whom is read from the hello that opens
//! every connection between nodes (docs/formats/handshake.md).
//!
//! A cut is silence, as with a cable that was pulled: connections stay open, new ones are taken and get no answer. What
//! was on its way arrives after the heal, if both ends still want it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Another address of this machine, where it has one.
pub const HOST: &str = "127.0.0.2";

const HELLO_BYTES: usize = 64;
const FROM_AT: usize = 24;
const TO_AT: usize = 28;

/// The switch in the middle.
#[derive(Clone, Default)]
pub struct Network(Arc<Switch>);

#[derive(Default)]
struct Switch {
    cut_off: Mutex<BTreeSet<u32>>,
    changed: Condvar,
}

impl Network {
    /// None where the machine has no second loopback address; says so.
    pub fn new() -> Option<Self> {
        if let Err(error) = TcpListener::bind((HOST, 0)) {
            println!("SKIPPED: this machine has no address {HOST} ({error})");
            return None;
        }
        Some(Self::default())
    }

    /// Passes on what comes for this peer port.
    pub fn serve(&self, peer_port: u16) {
        let listener = TcpListener::bind((HOST, peer_port)).expect("the port is free there as well");
        let switch = self.0.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let switch = switch.clone();
                std::thread::spawn(move || switch.connect(stream, peer_port));
            }
        });
    }

    /// From now on nothing reaches this node, and nothing from it reaches anybody.
    pub fn cut_off(&self, node: u32) {
        self.0.cut_off.lock().unwrap_or_else(PoisonError::into_inner).insert(node);
    }

    /// All reach each other again.
    pub fn heal(&self) {
        self.0.cut_off.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.0.changed.notify_all();
    }
}

impl Switch {
    /// Returns once these two may talk.
    fn wait(&self, from: u32, to: u32) {
        let mut cut_off = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        while cut_off.contains(&from) || cut_off.contains(&to) {
            cut_off = self.changed.wait(cut_off).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn connect(self: Arc<Self>, mut dialer: TcpStream, peer_port: u16) {
        let mut hello = [0; HELLO_BYTES];
        // Whoever hangs up, or is hung up on, is gone for both: nobody else needs to hear why.
        if dialer.read_exact(&mut hello).is_err() {
            return;
        }
        let number = |at: usize| u32::from_le_bytes(hello[at..at + 4].try_into().expect("4 bytes"));
        let (from, to) = (number(FROM_AT), number(TO_AT));
        self.wait(from, to);
        let Ok(mut acceptor) = TcpStream::connect(("127.0.0.1", peer_port)) else { return };
        if acceptor.write_all(&hello).is_err() {
            return;
        }
        let (Ok(dialer_reads), Ok(acceptor_reads)) = (dialer.try_clone(), acceptor.try_clone()) else {
            return;
        };
        let back = self.clone();
        std::thread::spawn(move || back.pump(acceptor_reads, dialer, from, to));
        self.pump(dialer_reads, acceptor, from, to);
    }

    fn pump(&self, mut from_stream: TcpStream, mut to_stream: TcpStream, from: u32, to: u32) {
        let _ = to_stream.set_nodelay(true);
        let mut chunk = [0; 64 * 1024];
        loop {
            let count = from_stream.read(&mut chunk).unwrap_or(0);
            self.wait(from, to);
            if count == 0 || to_stream.write_all(&chunk[..count]).is_err() {
                let _ = to_stream.shutdown(Shutdown::Both);
                let _ = from_stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}
