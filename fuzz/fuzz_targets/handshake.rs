//! Strangers at both ends of a handshake: they get a sentence at most, and are never let in without the secret.
#![no_main]

use base::NodeId;
use libfuzzer_sys::fuzz_target;
use server::handshake::{Call, Identity, Secret, accept, dial};
use tokio::io::{join, sink};

fuzz_target!(|input: (bool, &[u8])| {
    let (without_secret, stream) = input;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("it can be built");
    let secret = if without_secret { Secret::none() } else { Secret::new(&b"nobody guesses this"[..]) };
    let me = Identity { cluster: 7, node: NodeId(1) };
    runtime.block_on(async {
        let accepted = accept(&mut join(stream, sink()), &me, &secret, [1; 32]).await;
        assert!(!accepted.expect_err("nobody knows the secret").to_string().is_empty());
        for call in [Call::Guest, Call::Member { me: me.clone(), to: NodeId(2) }] {
            let dialed = dial(&mut join(stream, sink()), &call, &secret, [2; 32]).await;
            assert!(!dialed.expect_err("nobody knows the secret").to_string().is_empty());
        }
    });
});
