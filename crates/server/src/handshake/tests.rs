use super::{Call, HandshakeError, Identity, Secret, VERSION, Visitor, accept, dial};
use base::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

fn node(cluster: u128, number: u32) -> Identity {
    Identity { cluster, node: NodeId(number) }
}

fn member(cluster: u128, from: u32, to: u32) -> Call {
    Call::Member { me: node(cluster, from), to: NodeId(to) }
}

/// Both ends of one conversation with node 2 of cluster 7, which knows the secret `open sesame`.
async fn meet(
    call: Call,
    secret: &str,
) -> (Result<Identity, HandshakeError>, Result<Visitor, HandshakeError>) {
    let (mut dialer, mut acceptor) = duplex(64);
    let secret = Secret::new(secret.as_bytes().to_vec());
    let dialing = async move { dial(&mut dialer, &call, &secret, [1; 32]).await };
    let (us, known) = (node(7, 2), Secret::new(&b"open sesame"[..]));
    let accepting = async move { accept(&mut acceptor, &us, &known, [2; 32]).await };
    tokio::join!(dialing, accepting)
}

#[tokio::test]
async fn members_of_one_cluster_find_each_other() {
    let (dialed, accepted) = meet(member(7, 1, 2), "open sesame").await;
    assert_eq!(dialed.expect("it is welcome").node, NodeId(2));
    assert_eq!(accepted.expect("it is welcome"), Visitor::Member(NodeId(1)));
}

#[tokio::test]
async fn a_guest_who_knows_the_secret_is_let_in_and_learns_the_cluster() {
    let (dialed, accepted) = meet(Call::Guest, "open sesame").await;
    assert_eq!(dialed.expect("it is welcome").cluster, 7);
    assert_eq!(accepted.expect("it is welcome"), Visitor::Guest);
}

#[tokio::test]
async fn without_the_secret_nobody_comes_in_and_both_sides_are_told() {
    for call in [member(7, 1, 2), Call::Guest] {
        for secret in ["open barley", ""] {
            let (dialed, accepted) = meet(call.clone(), secret).await;
            assert!(matches!(accepted, Err(HandshakeError::Secret)), "{accepted:?}");
            let Err(HandshakeError::NotBelieved(sentence)) = dialed else { panic!("{dialed:?}") };
            assert!(sentence.contains("secret"), "{sentence}");
        }
    }
}

#[tokio::test]
async fn another_cluster_another_node_and_oneself_are_refused() {
    let (dialed, accepted) = meet(member(8, 1, 2), "open sesame").await;
    assert!(matches!(accepted, Err(HandshakeError::OtherCluster { theirs: 8, ours: 7 })), "{accepted:?}");
    assert!(matches!(dialed, Err(HandshakeError::Refused(said)) if said.contains("belongs to cluster")));

    let (_, accepted) = meet(member(7, 1, 3), "open sesame").await;
    assert!(matches!(accepted, Err(HandshakeError::OtherNode { .. })), "{accepted:?}");

    // Whomever it looks for.
    for wanted in [2, 3] {
        let (_, accepted) = meet(member(7, 2, wanted), "open sesame").await;
        assert!(matches!(accepted, Err(HandshakeError::Myself(_))), "{accepted:?}");
    }
}

#[tokio::test]
async fn an_acceptor_that_does_not_know_the_secret_is_not_believed() {
    let (mut dialer, mut acceptor) = duplex(1024);
    let impostor = async move {
        let mut hello = [0; 64];
        acceptor.read_exact(&mut hello).await.expect("the dialer says hello");
        let mut answer = Vec::from(*b"SIHAI");
        answer.extend_from_slice(&VERSION.to_le_bytes());
        answer.push(1);
        answer.extend_from_slice(&7u128.to_le_bytes());
        answer.extend_from_slice(&2u32.to_le_bytes());
        answer.extend_from_slice(&[9; 32]);
        acceptor.write_all(&answer).await.expect("the dialer reads");
        let mut proof = [0; 32];
        acceptor.read_exact(&mut proof).await.expect("the dialer proves itself");
        // The only proof that it has ever seen is the dialer's own.
        acceptor.write_all(&[&[1][..], &proof].concat()).await.expect("the dialer reads");
        acceptor
    };
    let secret = Secret::new(&b"open sesame"[..]);
    let call = member(7, 1, 2);
    let (dialed, _acceptor) = tokio::join!(dial(&mut dialer, &call, &secret, [1; 32]), impostor);
    assert!(matches!(dialed, Err(HandshakeError::Secret)), "{dialed:?}");
}

#[tokio::test]
async fn garbage_is_refused_at_its_first_bytes() {
    let (mut dialer, mut acceptor) = duplex(1024);
    dialer.write_all(b"GET / HTTP/1.1\r\n").await.expect("there is room");
    let accepted = accept(&mut acceptor, &node(7, 2), &Secret::none(), [2; 32]).await;
    assert!(matches!(accepted, Err(HandshakeError::NotSihai)), "{accepted:?}");
}

#[tokio::test]
async fn another_version_is_told_which_one_is_spoken_here() {
    let (mut dialer, mut acceptor) = duplex(1024);
    dialer.write_all(b"SIHAI\xff\x00").await.expect("there is room");
    let accepted = accept(&mut acceptor, &node(7, 2), &Secret::none(), [2; 32]).await;
    assert!(matches!(accepted, Err(HandshakeError::Version(255))), "{accepted:?}");
    drop(acceptor);
    let mut said = Vec::new();
    dialer.read_to_end(&mut said).await.expect("it was told");
    assert!(said.starts_with(b"SIHAI\x01\x00\x00"), "{said:?}");
    assert!(String::from_utf8_lossy(&said).contains("version 1"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_is_not_waited_for() {
    let (_dialer, mut acceptor) = duplex(1024);
    let accepted = accept(&mut acceptor, &node(7, 2), &Secret::none(), [2; 32]).await;
    assert!(matches!(accepted, Err(HandshakeError::Timeout)), "{accepted:?}");
}

#[tokio::test]
async fn the_sentence_of_a_refusal_cannot_garble_a_terminal() {
    let (mut dialer, mut acceptor) = duplex(1024);
    acceptor.write_all(b"SIHAI\x01\x00\x00\x06\x00\x1b[2Jno").await.expect("there is room");
    let dialed = dial(&mut dialer, &Call::Guest, &Secret::none(), [1; 32]).await;
    assert!(matches!(&dialed, Err(HandshakeError::Refused(said)) if said == "[2Jno"), "{dialed:?}");
}

/// Every message of a conversation with node 2, as hexadecimal digits, one a line.
async fn overhear(call: Call) -> String {
    let cluster = 7 << 64 | 3;
    let (mut dialer, mut near) = duplex(64);
    let (mut far, mut acceptor) = duplex(64);
    let secret = Secret::new(&b"open sesame"[..]);
    let known = secret.clone();
    let dialing = async move { dial(&mut dialer, &call, &secret, [1; 32]).await };
    let accepting = async move { accept(&mut acceptor, &node(cluster, 2), &known, [2; 32]).await };
    let listening = async move {
        let mut heard = String::new();
        for (from_dialer, bytes) in [(true, 64), (false, 60), (true, 32), (false, 33)] {
            let mut message = vec![0; bytes];
            let (from, to) = if from_dialer { (&mut near, &mut far) } else { (&mut far, &mut near) };
            from.read_exact(&mut message).await.expect("it is said");
            to.write_all(&message).await.expect("it is heard");
            message.iter().for_each(|byte| heard += &format!("{byte:02x}"));
            heard += "\n";
        }
        heard
    };
    let (dialed, accepted, heard) = tokio::join!(dialing, accepting, listening);
    assert_eq!(dialed.expect("it is welcome").cluster, cluster);
    accepted.expect("it is welcome");
    heard
}

#[tokio::test]
async fn the_bytes_of_whole_handshakes_are_those_of_version_1() {
    let call = Call::Member { me: node(7 << 64 | 3, 1), to: NodeId(2) };
    assert_eq!(overhear(call).await, include_str!("golden/member-1.hex"));
    assert_eq!(overhear(Call::Guest).await, include_str!("golden/guest-1.hex"));
}
