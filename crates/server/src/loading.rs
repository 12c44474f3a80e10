//! The clients' port before there is a node: while this machine asks to become a member, whoever connects gets an answer
//! at once, and the answer to everything is LOADING. Connections are kept and handed over when the node has begun.

use bytes::{Buf, Bytes, BytesMut};
use node::resp::{Progress, Reader};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest command that is read to be refused.
const COMMAND_BYTES_MAX: usize = 1 << 20;
/// How long accepting pauses when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A client who was here before the node.
#[derive(Debug)]
pub struct Early {
    /// Its connection.
    pub stream: TcpStream,
    /// Its address.
    pub address: SocketAddr,
    /// The beginning of a command that it hasn't finished.
    pub bytes: Bytes,
}

/// Answers LOADING until `begun` says so, or its sender is dropped; then gives the clients away.
pub async fn answer(
    listener: &TcpListener,
    clients_max: usize,
    why: &str,
    mut begun: watch::Receiver<bool>,
) -> Vec<Early> {
    let line = Bytes::from(format!("-LOADING {why}\r\n"));
    let mut clients: JoinSet<Option<Early>> = JoinSet::new();
    let mut early = Vec::new();
    loop {
        tokio::select! {
            () = until(&mut begun) => break,
            // It has gone, or has heard before us that the node has begun.
            Some(client) = clients.join_next() => early.extend(client.ok().flatten()),
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) if clients.len() < clients_max => {
                    crate::client::prepare(&stream);
                    clients.spawn_local(keep(stream, address, line.clone(), begun.clone()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    while let Some(client) = clients.join_next().await {
        early.extend(client.ok().flatten());
    }
    early
}

async fn until(begun: &mut watch::Receiver<bool>) {
    // A sender that is gone has nothing to wait for either.
    let _ = begun.wait_for(|begun| *begun).await;
}

/// Answers one client; what is left of it when the node has begun, unless it has gone.
async fn keep(
    mut stream: TcpStream,
    address: SocketAddr,
    line: Bytes,
    mut begun: watch::Receiver<bool>,
) -> Option<Early> {
    let mut reader = Reader::default();
    let mut input = BytesMut::new();
    loop {
        tokio::select! {
            () = until(&mut begun) => {
                return Some(Early { stream, address, bytes: input.freeze() });
            }
            read = stream.read_buf(&mut input) => if read.ok()? == 0 {
                return None;
            },
        }
        let mut commands = 0;
        loop {
            match reader.next(&input) {
                Ok(Progress::Command { consumed }) => {
                    commands += 1;
                    input.advance(consumed);
                }
                Ok(Progress::Empty { consumed }) => input.advance(consumed),
                Ok(Progress::Incomplete { .. }) if input.len() > COMMAND_BYTES_MAX => return None,
                Ok(Progress::Incomplete { .. }) => break,
                Err(error) => {
                    let _ = stream.write_all(format!("-ERR {error}\r\n").as_bytes()).await;
                    return None;
                }
            }
        }
        if commands > 0 {
            stream.write_all(&line.repeat(commands)).await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::{Builder, LocalOptions};

    #[test]
    fn every_command_is_answered_and_a_half_one_is_handed_over() {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .expect("a runtime can be made");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            let address = listener.local_addr().expect("it is bound");
            let (begin, begun) = watch::channel(false);
            let answering =
                tokio::task::spawn_local(
                    async move { answer(&listener, 10, "sihai is starting", begun).await },
                );
            let mut client = TcpStream::connect(address).await.expect("somebody listens");
            client.write_all(b"PING\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET").await.expect("it is open");
            let mut replies = vec![0; 2 * b"-LOADING sihai is starting\r\n".len()];
            client.read_exact(&mut replies).await.expect("both are answered");
            assert_eq!(replies, b"-LOADING sihai is starting\r\n".repeat(2));
            begin.send(true).expect("somebody waits for it");
            let early = answering.await.expect("it ends");
            assert_eq!(early.len(), 1);
            assert_eq!(&early[0].bytes[..], b"*2\r\n$3\r\nGET");
        });
    }
}
