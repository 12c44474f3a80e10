//! How a node becomes a member: it dials a member's peer port as a guest, asks, and hears who it is from now on. The
//! request carries a number that was drawn once and lies in its first directory until it belongs to a cluster, so that
//! a crash in between, or an answer that got lost, doesn't make it two members.

use crate::chance;
use crate::frame;
use crate::handshake::{self, Call, HandshakeError, Secret, put_u128, u128_of};
use crate::peers;
use crate::visitors::read_one;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{Duration, NodeId};
use node::api::{Addresses, JoinReply, JoinRequest, PeerAddress};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// The longest request or reply.
pub const BYTES_MAX: usize = 1 << 20;
/// How long one member is waited for before the next is asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait after all have been asked in vain.
const ROUND_PAUSE: Duration = Duration::from_millis(200);
/// How often it is said that nobody has answered yet.
const REMINDER_ROUNDS: u32 = 20;
/// The file with the number of the request.
const NONCE_FILE: &str = "joining";

/// What a node is told that was welcomed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The cluster's id.
    pub cluster: u128,
    /// The new member's id.
    pub node: NodeId,
    /// Everybody else.
    pub peers: Vec<PeerAddress>,
}

/// Why a node can't become a member.
#[derive(Debug)]
pub enum JoinError {
    /// The cluster says no, and why.
    Refused(String),
    /// A member doesn't believe that this node knows the cluster's secret.
    Secret {
        /// Which, as it was asked.
        target: String,
        /// Whether this node was given a secret at all.
        given: bool,
    },
    /// The number of the request can't be kept.
    Nonce(io::Error),
}

impl std::fmt::Display for JoinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JoinError::Refused(why) => write!(f, "the cluster refuses this node: {why}"),
            JoinError::Secret { target, given } => {
                let which = if *given { "has another cluster secret" } else { "was given no cluster secret" };
                write!(
                    f,
                    "{target} refuses this node, which {which}: give it the file that the members have \
                     (--cluster-secret-file); nothing was joined, and the data directory can be used again"
                )
            }
            JoinError::Nonce(error) => {
                write!(f, "the file `{NONCE_FILE}` in the data directory can't be read or written: {error}")
            }
        }
    }
}

/// Asks the targets, one after the other and again and again, until one has answered. Who can't be reached is asked
/// again; a wrong secret stays wrong, so that is the end once no other target has helped either. `addresses` makes the
/// addresses to ask with from the local end of the connection, which is where the others can reach this machine.
pub async fn ask(
    targets: &[String],
    secret: &Secret,
    nonce: u128,
    addresses: impl Fn(IpAddr) -> Addresses,
) -> Result<(Welcome, Addresses), JoinError> {
    let mut said = BTreeMap::new();
    let mut rounds = 0;
    loop {
        let mut not_believed = None;
        for target in targets {
            let asking = ask_one(target, secret, nonce, &addresses);
            let error = match timeout(handshake::HANDSHAKE_TIMEOUT, asking).await {
                Ok(Ok((JoinReply::Welcome { cluster, node, peers }, addresses))) => {
                    return Ok((Welcome { cluster, node, peers }, addresses));
                }
                Ok(Ok((JoinReply::Refused(why), _))) => return Err(JoinError::Refused(why)),
                Ok(Err(Unanswered::NotBelieved(sentence))) => {
                    not_believed = Some(target);
                    sentence
                }
                Ok(Err(Unanswered::Perhaps(error))) => error,
                Err(_) => "it took too long".to_string(),
            };
            if said.insert(target, error.clone()).as_ref() != Some(&error) || rounds % REMINDER_ROUNDS == 0 {
                tracing::warn!("{target} hasn't let this node join yet: {error}; trying again");
            }
        }
        if let Some(target) = not_believed {
            return Err(JoinError::Secret { target: target.clone(), given: secret.is_some() });
        }
        rounds += 1;
        sleep(ROUND_PAUSE).await;
    }
}

/// Why one member has given no answer, as a sentence.
enum Unanswered {
    /// It may the next time.
    Perhaps(String),
    /// It doesn't believe that this node knows the secret, and never will.
    NotBelieved(String),
}

impl From<String> for Unanswered {
    fn from(sentence: String) -> Self {
        Unanswered::Perhaps(sentence)
    }
}

async fn ask_one(
    target: &str,
    secret: &Secret,
    nonce: u128,
    addresses: impl Fn(IpAddr) -> Addresses,
) -> Result<(JoinReply, Addresses), Unanswered> {
    let mut stream = peers::connect(target, secret).await.map_err(|error| error.to_string())?;
    let local = stream.local_addr().map_err(|error| error.to_string())?.ip().to_canonical();
    let dialed = handshake::dial(&mut stream, &Call::Guest, secret, chance::bytes()).await;
    dialed.map_err(|error| match error {
        HandshakeError::NotBelieved(_) => Unanswered::NotBelieved(error.to_string()),
        other => Unanswered::Perhaps(other.to_string()),
    })?;
    let addresses = addresses(local);
    let body = Request { nonce, addresses: addresses.clone() }.to_bytes();
    let conversation = async {
        stream
            .write_all(&[&frame::header(&body)[..], &body].concat())
            .await
            .map_err(|error| error.to_string())?;
        read_one(&mut stream).await.map_err(|error| error.to_string())
    };
    let reply = timeout(ANSWER_TIMEOUT, conversation)
        .await
        .map_err(|_| "it has no answer yet (has the cluster a majority?)".to_string())??;
    let Reply(reply) =
        Reply::from_bytes(reply).map_err(|error| format!("its answer can't be read: {error}"))?;
    Ok((reply, addresses))
}

/// The number of this directory's request: the one it has drawn before, or a new one, durable.
pub fn nonce(dir: &Path) -> Result<u128, JoinError> {
    let path = dir.join(NONCE_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            if let Ok(nonce) = u128::from_str_radix(text.trim(), 16) {
                return Ok(nonce);
            }
            // It was torn before anybody was asked with it.
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(JoinError::Nonce(error)),
    }
    let nonce = chance::u128();
    write_durably(dir, &path, &format!("{nonce:032x}\n")).map_err(JoinError::Nonce)?;
    Ok(nonce)
}

/// The directory belongs to a cluster now: its request is done.
pub fn forget_nonce(dir: &Path) {
    // A file that stays is never read again.
    let _ = std::fs::remove_file(dir.join(NONCE_FILE));
}

fn write_durably(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::File::open(dir)?.sync_all()
}

/// A [`JoinRequest`] on its way.
///
/// ```text
/// 1:u8 | nonce:u128 | client, peer, http: address
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// See [`JoinRequest::nonce`].
    pub nonce: u128,
    /// See [`JoinRequest::addresses`].
    pub addresses: Addresses,
}

const REQUEST: u8 = 1;
const WELCOME: u8 = 1;
const REFUSED: u8 = 2;

impl From<Request> for JoinRequest {
    fn from(Request { nonce, addresses }: Request) -> Self {
        JoinRequest { nonce, addresses }
    }
}

impl Encode for Request {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(REQUEST);
        put_u128(to, self.nonce);
        for address in [&self.addresses.client, &self.addresses.peer, &self.addresses.http] {
            to.str(address);
        }
    }
}

impl Decode for Request {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        if from.u8()? != REQUEST {
            return Err(DecodeError::Invalid("this kind of request to join"));
        }
        let nonce = u128_of(from)?;
        let addresses = Addresses { client: from.string()?, peer: from.string()?, http: from.string()? };
        Ok(Self { nonce, addresses })
    }
}

/// A [`JoinReply`] on its way.
///
/// ```text
/// 1:u8 | cluster:u128 | node:u32 | count:u32 | (node:u32 | address)...      welcome
/// 2:u8 | sentence                                                           refused
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply(pub JoinReply);

impl Encode for Reply {
    fn encode(&self, to: &mut Encoder<'_>) {
        match &self.0 {
            JoinReply::Welcome { cluster, node, peers } => {
                to.u8(WELCOME);
                put_u128(to, *cluster);
                to.u32(node.0);
                to.u32(u32::try_from(peers.len()).expect("clusters are far smaller"));
                for peer in peers {
                    to.u32(peer.node.0);
                    to.str(&peer.address);
                }
            }
            JoinReply::Refused(why) => {
                to.u8(REFUSED);
                to.str(why);
            }
        }
    }
}

impl Decode for Reply {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        match from.u8()? {
            WELCOME => {
                let (cluster, node) = (u128_of(from)?, NodeId(from.u32()?));
                let mut peers = Vec::new();
                for _ in 0..from.u32()? {
                    peers.push(PeerAddress { node: NodeId(from.u32()?), address: from.string()? });
                }
                Ok(Self(JoinReply::Welcome { cluster, node, peers }))
            }
            REFUSED => Ok(Self(JoinReply::Refused(from.string()?))),
            _ => Err(DecodeError::Invalid("this kind of answer to a request to join")),
        }
    }
}

/// Guests who wait for the node's answer.
#[derive(Debug, Default)]
pub struct Tickets {
    last: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, oneshot::Sender<JoinReply>>>,
}

/// A place in the queue, given back when the guest is gone.
#[derive(Debug)]
pub struct Ticket<'a> {
    number: u64,
    tickets: &'a Tickets,
}

impl Tickets {
    /// The next ticket, and where its answer will come.
    pub fn draw(&self) -> (Ticket<'_>, oneshot::Receiver<JoinReply>) {
        let number = self.last.get() + 1;
        self.last.set(number);
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, sender);
        (Ticket { number, tickets: self }, receiver)
    }

    /// Answers; a guest who has gone in the meantime hears nothing and asks again.
    pub fn answer(&self, ticket: u64, reply: JoinReply) {
        if let Some(guest) = self.waiting.borrow_mut().remove(&ticket) {
            let _ = guest.send(reply);
        }
    }
}

impl Ticket<'_> {
    /// What the node knows it by.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.tickets.waiting.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses { client: "10.0.0.1:6379".into(), peer: "10.0.0.1:16379".into(), http: "[::1]:8379".into() }
    }

    #[test]
    fn requests_and_replies_come_out_as_they_went_in() {
        let request = Request { nonce: 3 << 100 | 5, addresses: addresses() };
        assert_eq!(Request::from_bytes(request.to_bytes()), Ok(request));
        let peers = vec![
            PeerAddress { node: NodeId(1), address: "10.0.0.1:16379".into() },
            PeerAddress { node: NodeId(9), address: "host:1".into() },
        ];
        let welcome = Reply(JoinReply::Welcome { cluster: 7 << 90, node: NodeId(3), peers });
        assert_eq!(Reply::from_bytes(welcome.to_bytes()), Ok(welcome));
        let refused = Reply(JoinReply::Refused("no".into()));
        assert_eq!(Reply::from_bytes(refused.to_bytes()), Ok(refused));
    }

    #[test]
    fn the_bytes_of_a_request_and_a_reply_are_those_of_version_1() {
        let request = Request {
            nonce: 0x0102,
            addresses: Addresses { client: "a".into(), peer: "b".into(), http: "c".into() },
        };
        let wanted = b"\x01\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a\x01\0\0\0b\x01\0\0\0c";
        assert_eq!(request.to_bytes(), &wanted[..]);
        let reply = Reply(JoinReply::Welcome {
            cluster: 1,
            node: NodeId(2),
            peers: vec![PeerAddress { node: NodeId(1), address: "x".into() }],
        });
        let wanted = b"\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0x";
        assert_eq!(reply.to_bytes(), &wanted[..]);
    }

    #[test]
    fn whatever_arrives_instead_is_refused_without_reserving_memory_for_it() {
        for bytes in [&b""[..], b"\x07", b"\x01\x01\x01", b"\x02\xff\xff\xff\xffno"] {
            assert!(Request::from_bytes(bytes::Bytes::from_static(bytes)).is_err(), "{bytes:?}");
            assert!(Reply::from_bytes(bytes::Bytes::from_static(bytes)).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_directory_asks_with_the_same_number_until_it_has_joined() {
        let dir = crate::test_dir("nonce");
        let first = nonce(&dir).expect("it can be written");
        assert_eq!(nonce(&dir).expect("it can be read"), first);
        forget_nonce(&dir);
        assert_ne!(nonce(&dir).expect("it can be written"), first);
        std::fs::write(dir.join(NONCE_FILE), "torn").expect("it can be written");
        assert_ne!(nonce(&dir).expect("it is drawn anew"), first);
    }
}
