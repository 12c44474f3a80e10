//! How two nodes make sure of each other before any message: the same protocol, the same cluster, the secret known to
//! both, and the right node at the address. Everything is bounded, in bytes and in time.
//!
//! ```text
//! dialer                                            acceptor
//!   hello   "SIHAI" version:u16 kind:u8
//!           cluster:u128 from:u32 to:u32 nonce:[32] ->
//!           <- answer  "SIHAI" version:u16 1:u8 cluster:u128 node:u32 nonce:[32]
//!   proof   [32]                                    ->
//!           <- welcome 1:u8 proof:[32]
//! ```
//!
//! Instead of an answer or a welcome the acceptor may refuse: 0:u8, the length of a sentence:u16, the sentence. In place
//! of an answer, `"SIHAI" version:u16` stand before it, so that releases that don't understand each other can say so.
//! Integers are little-endian. The kind is 1 for a member, 2 for a guest that asks to become one; a guest's cluster,
//! from and to are 0.
//!
//! A proof is HMAC-SHA256, under the cluster secret, of the prover's role and of everything said so far, both nonces
//! among it: it can't be replayed, reflected or carried over to another conversation. Who dials proves first, so that a
//! stranger gets nothing to work on. Without a secret the key is empty: then only loopback is served, see
//! `crate::peers`.

use base::codec::{DecodeError, Decoder, Encoder};
use base::{Duration, NodeId};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

const MAGIC: &[u8; 5] = b"SIHAI";
/// What this release speaks; messages behind the handshake included.
pub const VERSION: u16 = 1;
const PREFACE_BYTES: usize = 7;
const HELLO_BYTES: usize = PREFACE_BYTES + 1 + 16 + 4 + 4 + NONCE_BYTES;
const ANSWER_BYTES: usize = 16 + 4 + NONCE_BYTES;
const NONCE_BYTES: usize = 32;
const PROOF_BYTES: usize = 32;
const REFUSAL_BYTES_MAX: usize = 512;

const REFUSED: u8 = 0;
const GO_ON: u8 = 1;
const MEMBER: u8 = 1;
const GUEST: u8 = 2;

/// What the members of a cluster know and others don't.
#[derive(Clone)]
pub struct Secret(Bytes);

impl Secret {
    /// A secret that somebody chose.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// None: good enough for processes of one machine.
    pub fn none() -> Self {
        Self(Bytes::new())
    }

    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        !self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", if self.is_some() { "…" } else { "none" })
    }
}

/// Who this process is, to other nodes.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its cluster.
    pub cluster: u128,
    /// Its number there.
    pub node: NodeId,
}

/// Whom an acceptor has let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// A member of the cluster.
    Member(NodeId),
    /// Somebody who knows the secret and wants to become a member.
    Guest,
}

/// Why two nodes don't talk to each other.
#[derive(Debug)]
pub enum HandshakeError {
    /// The connection broke, or was closed.
    Io(std::io::Error),
    /// It took too long.
    Timeout,
    /// What is at the other end isn't Sihai.
    NotSihai,
    /// Another version of the protocol is spoken there.
    Version(u16),
    /// It belongs to another cluster.
    OtherCluster {
        /// Its cluster.
        theirs: u128,
        /// Ours.
        ours: u128,
    },
    /// It is, or looks for, another node.
    OtherNode {
        /// Who was looked for.
        wanted: NodeId,
        /// Who is there.
        found: NodeId,
    },
    /// It says that it is this node.
    Myself(NodeId),
    /// It doesn't know the secret.
    Secret,
    /// It makes no sense.
    Malformed(DecodeError),
    /// The other side has refused, and what it says about it.
    Refused(String),
    /// The other side doesn't believe that this node knows its secret, and what it says about it.
    NotBelieved(String),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                write!(f, "it hung up in the middle of the handshake")
            }
            HandshakeError::Io(error) => write!(f, "{error}"),
            HandshakeError::Timeout => {
                write!(f, "the handshake wasn't done within {} s", HANDSHAKE_TIMEOUT.as_secs())
            }
            HandshakeError::NotSihai => write!(f, "it doesn't speak Sihai's protocol between nodes"),
            HandshakeError::Version(version) => write!(
                f,
                "it speaks version {version} of the protocol between nodes, and this release version {VERSION}"
            ),
            HandshakeError::OtherCluster { theirs, ours } => {
                write!(f, "it belongs to cluster {theirs:032x}, and this node to cluster {ours:032x}")
            }
            HandshakeError::OtherNode { wanted, found } => {
                write!(f, "node {wanted} is looked for, and node {found} is there")
            }
            HandshakeError::Myself(node) => {
                write!(
                    f,
                    "it says that it is node {node}, which is this node: is a data directory used twice, or does an \
                     address lead back to its own node?"
                )
            }
            HandshakeError::Secret => {
                write!(f, "it doesn't know this cluster's secret (--cluster-secret-file)")
            }
            HandshakeError::Malformed(error) => write!(f, "its handshake can't be read: {error}"),
            HandshakeError::Refused(sentence) | HandshakeError::NotBelieved(sentence) => {
                write!(f, "it refuses: {sentence}")
            }
        }
    }
}

impl From<std::io::Error> for HandshakeError {
    fn from(error: std::io::Error) -> Self {
        HandshakeError::Io(error)
    }
}

impl From<DecodeError> for HandshakeError {
    fn from(error: DecodeError) -> Self {
        HandshakeError::Malformed(error)
    }
}

/// What a dialer wants.
#[derive(Clone, Debug)]
pub enum Call {
    /// A member calls a member.
    Member {
        /// Who calls.
        me: Identity,
        /// Who is called.
        to: NodeId,
    },
    /// Somebody asks to become a member.
    Guest,
}

/// The dialer's side; whom it has reached. `nonce` is random.
pub async fn dial(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    call: &Call,
    secret: &Secret,
    nonce: [u8; NONCE_BYTES],
) -> Result<Identity, HandshakeError> {
    within(async {
        let hello = encode_hello(call, &nonce);
        stream.write_all(&hello).await?;
        let mut preface = [0; PREFACE_BYTES + 1];
        stream.read_exact(&mut preface).await?;
        let version = version_of(&preface)?;
        if preface[PREFACE_BYTES] != GO_ON {
            return Err(HandshakeError::Refused(read_refusal(stream).await?));
        }
        if version != VERSION {
            return Err(HandshakeError::Version(version));
        }
        let mut answer = [0; ANSWER_BYTES];
        stream.read_exact(&mut answer).await?;
        let mut fields = Decoder::new(Bytes::copy_from_slice(&answer));
        let found = Identity { cluster: u128_of(&mut fields)?, node: NodeId(fields.u32()?) };
        if let Call::Member { me, to } = call {
            check_cluster(found.cluster, me.cluster)?;
            if found.node != *to {
                return Err(HandshakeError::OtherNode { wanted: *to, found: found.node });
            }
        }
        let said = [&hello[..], &preface, &answer].concat();
        let proof = prove(secret, b"dialer", &said);
        stream.write_all(&proof).await?;
        if stream.read_u8().await? != GO_ON {
            // Everything else was refused before the proof.
            return Err(HandshakeError::NotBelieved(read_refusal(stream).await?));
        }
        let mut theirs = [0; PROOF_BYTES];
        stream.read_exact(&mut theirs).await?;
        verify(secret, b"acceptor", &[&said[..], &proof].concat(), &theirs)?;
        Ok(found)
    })
    .await
}

/// The acceptor's side; whom it has let in. Says why, if it doesn't. `nonce` is random.
pub async fn accept(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    me: &Identity,
    secret: &Secret,
    nonce: [u8; NONCE_BYTES],
) -> Result<Visitor, HandshakeError> {
    within(async {
        let mut hello = [0; HELLO_BYTES];
        // What isn't Sihai is found out at once, not when it has sent a whole hello.
        stream.read_exact(&mut hello[..PREFACE_BYTES]).await?;
        let version = version_of(&hello)?;
        let checked = if version == VERSION {
            stream.read_exact(&mut hello[PREFACE_BYTES..]).await?;
            check_hello(&hello, me)
        } else {
            Err(HandshakeError::Version(version))
        };
        let visitor = match checked {
            Ok(visitor) => visitor,
            Err(error) => {
                let mut preface = Vec::new();
                put_preface(&mut preface);
                stream.write_all(&preface).await?;
                refuse(stream, &error, me).await?;
                return Err(error);
            }
        };
        let answer = encode_answer(me, &nonce);
        stream.write_all(&answer).await?;
        let mut theirs = [0; PROOF_BYTES];
        stream.read_exact(&mut theirs).await?;
        let said = [&hello[..], &answer].concat();
        if let Err(error) = verify(secret, b"dialer", &said, &theirs) {
            refuse(stream, &error, me).await?;
            return Err(error);
        }
        let proof = prove(secret, b"acceptor", &[&said[..], &theirs].concat());
        stream.write_all(&[&[GO_ON][..], &proof].concat()).await?;
        Ok(visitor)
    })
    .await
}

async fn within<T>(handshake: impl Future<Output = Result<T, HandshakeError>>) -> Result<T, HandshakeError> {
    tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await.unwrap_or(Err(HandshakeError::Timeout))
}

fn put_preface(to: &mut Vec<u8>) {
    to.extend_from_slice(MAGIC);
    Encoder::new(to).u16(VERSION);
}

fn encode_hello(call: &Call, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let mut hello = Vec::with_capacity(HELLO_BYTES);
    put_preface(&mut hello);
    let mut to = Encoder::new(&mut hello);
    let (kind, cluster, from, node) = match call {
        Call::Member { me, to } => (MEMBER, me.cluster, me.node, *to),
        Call::Guest => (GUEST, 0, NodeId::NONE, NodeId::NONE),
    };
    to.u8(kind);
    put_u128(&mut to, cluster);
    to.u32(from.0);
    to.u32(node.0);
    hello.extend_from_slice(nonce);
    hello
}

fn encode_answer(me: &Identity, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let mut answer = Vec::with_capacity(PREFACE_BYTES + 1 + ANSWER_BYTES);
    put_preface(&mut answer);
    let mut to = Encoder::new(&mut answer);
    to.u8(GO_ON);
    put_u128(&mut to, me.cluster);
    to.u32(me.node.0);
    answer.extend_from_slice(nonce);
    answer
}

fn version_of(preface: &[u8]) -> Result<u16, HandshakeError> {
    match preface.strip_prefix(MAGIC) {
        Some([low, high, ..]) => Ok(u16::from_le_bytes([*low, *high])),
        _ => Err(HandshakeError::NotSihai),
    }
}

fn check_hello(hello: &[u8; HELLO_BYTES], me: &Identity) -> Result<Visitor, HandshakeError> {
    let mut fields = Decoder::new(Bytes::copy_from_slice(&hello[PREFACE_BYTES..]));
    let kind = fields.u8()?;
    let cluster = u128_of(&mut fields)?;
    let (from, to) = (NodeId(fields.u32()?), NodeId(fields.u32()?));
    match kind {
        GUEST => Ok(Visitor::Guest),
        MEMBER => {
            check_cluster(cluster, me.cluster)?;
            // Before whom it looks for: that two say they are one is worse than a wrong number.
            if from == me.node {
                return Err(HandshakeError::Myself(from));
            }
            if to != me.node {
                return Err(HandshakeError::OtherNode { wanted: to, found: me.node });
            }
            if from == NodeId::NONE {
                return Err(HandshakeError::Malformed(DecodeError::Invalid("a member without a number")));
            }
            Ok(Visitor::Member(from))
        }
        _ => Err(HandshakeError::Malformed(DecodeError::Invalid("this kind of caller"))),
    }
}

fn check_cluster(theirs: u128, ours: u128) -> Result<(), HandshakeError> {
    if theirs == ours { Ok(()) } else { Err(HandshakeError::OtherCluster { theirs, ours }) }
}

/// Tells the other side why, from its point of view.
async fn refuse(
    stream: &mut (impl AsyncWrite + Unpin),
    error: &HandshakeError,
    me: &Identity,
) -> Result<(), HandshakeError> {
    let sentence = match error {
        HandshakeError::OtherCluster { theirs, ours } => {
            format!("this node belongs to cluster {ours:032x}, and you to cluster {theirs:032x}")
        }
        HandshakeError::OtherNode { wanted, found } => format!("this is node {found}, not node {wanted}"),
        HandshakeError::Myself(node) => {
            format!(
                "this is node {node}, as you say you are: is a data directory used twice, or does an address lead back \
                 to its own node?"
            )
        }
        HandshakeError::Secret => "the cluster secret differs (--cluster-secret-file)".to_string(),
        HandshakeError::Version(version) => {
            format!("this node ({}) speaks version {VERSION} of the protocol, and you {version}", me.node)
        }
        other => other.to_string(),
    };
    let sentence = &sentence.as_bytes()[..sentence.len().min(REFUSAL_BYTES_MAX)];
    let mut refusal = vec![REFUSED];
    Encoder::new(&mut refusal).u16(sentence.len() as u16);
    refusal.extend_from_slice(sentence);
    stream.write_all(&refusal).await?;
    stream.shutdown().await?;
    Ok(())
}

/// What the other side says about its refusal. It isn't authenticated: nothing in it may garble a terminal.
async fn read_refusal(stream: &mut (impl AsyncRead + Unpin)) -> Result<String, HandshakeError> {
    let length = usize::from(stream.read_u16_le().await?);
    let mut sentence = vec![0; length.min(REFUSAL_BYTES_MAX)];
    stream.read_exact(&mut sentence).await?;
    let sentence = String::from_utf8_lossy(&sentence);
    Ok(sentence.chars().filter(|character| !character.is_control()).collect())
}

fn prove(secret: &Secret, role: &[u8], said: &[u8]) -> [u8; PROOF_BYTES] {
    mac(secret, role, said).finalize().into_bytes().into()
}

fn verify(secret: &Secret, role: &[u8], said: &[u8], proof: &[u8]) -> Result<(), HandshakeError> {
    // In constant time.
    mac(secret, role, said).verify_slice(proof).map_err(|_| HandshakeError::Secret)
}

fn mac(secret: &Secret, role: &[u8], said: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes keys of any length");
    for part in [&b"sihai peer 1 "[..], role, &[0], said] {
        mac.update(part);
    }
    mac
}

pub(crate) fn put_u128(to: &mut Encoder<'_>, value: u128) {
    to.u64(value as u64);
    to.u64((value >> 64) as u64);
}

pub(crate) fn u128_of(from: &mut Decoder) -> Result<u128, DecodeError> {
    Ok(u128::from(from.u64()?) | u128::from(from.u64()?) << 64)
}

#[cfg(test)]
mod tests;
