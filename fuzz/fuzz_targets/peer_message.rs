//! What another node says, Raft's messages among it: what is read is written again as the same bytes.
#![no_main]

use base::codec::{Decode, Encode};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use node::wire::PeerMessage;

fuzz_target!(|input: &[u8]| {
    if let Ok(message) = PeerMessage::from_bytes(Bytes::copy_from_slice(input)) {
        let bytes = message.to_bytes();
        assert_eq!(PeerMessage::from_bytes(bytes).as_ref(), Ok(&message));
    }
    if let Ok(message) = raft::Message::from_bytes(Bytes::copy_from_slice(input)) {
        assert_eq!(raft::Message::from_bytes(message.to_bytes()).as_ref(), Ok(&message));
    }
});
