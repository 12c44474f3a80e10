//! What the tests of the real binary share: processes that are gone when the test is, directories that are gone with
//! them, ports that were free a moment ago, and a small client. Nothing sleeps for luck: conditions are waited for.
#![allow(dead_code)]

pub mod load;
pub mod network;

use node::resp::Frame;
use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up. Machines that run tests are slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Tests that measure time, or disturb it, run one after the other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    // One that failed says so itself.
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory of its own, deleted at the end.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let unique = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos();
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{unique}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the target directory can be written");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The name of something in it.
    pub fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("its name is text").to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What is left over is in the target directory, and small.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Three ports that nobody listens on, for clients, peers and HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub client: u16,
    pub peer: u16,
    pub http: u16,
}

impl Ports {
    /// Below those that the system gives to outgoing connections: a node that is started again finds them free.
    pub fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let begin = (std::process::id() % 200) as u16 * 100;
        let next = || {
            wait_for("a free port", || {
                let port = 10_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
                TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
            })
        };
        Self { client: next(), peer: next(), http: next() }
    }

    pub fn flags(&self) -> Vec<String> {
        let Self { client, peer, http } = self;
        vec![
            "--port".into(),
            client.to_string(),
            "--peer-port".into(),
            peer.to_string(),
            "--http-port".into(),
            http.to_string(),
        ]
    }
}

/// The binary with these arguments, and without the settings of whoever runs the tests.
pub fn sihai(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sihai"));
    for (name, _) in std::env::vars() {
        if name.starts_with("SIHAI_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a command that ends by itself has said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Said {
    let output = sihai(arguments).output().expect("the binary runs");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A node as a process of its own, killed with its test.
pub struct Node {
    child: Child,
    pub ports: Ports,
    said: Arc<Mutex<String>>,
}

impl Node {
    /// `sihai serve` on these ports, with these further flags.
    pub fn start(ports: Ports, flags: &[&str]) -> Self {
        Self::start_by(sihai(&["serve"]), ports, flags)
    }

    /// The same by another command that ends in `sihai serve`.
    pub fn start_by(mut command: Command, ports: Ports, flags: &[&str]) -> Self {
        command.args(ports.flags()).args(flags).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let said = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().expect("it was asked for"));
        let kept = said.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut said = kept.lock().expect("nobody panics with it");
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { child, ports, said }
    }

    /// What it has logged so far.
    pub fn said(&self) -> String {
        self.said.lock().expect("nobody panics with it").clone()
    }

    /// Waits until it has logged this.
    pub fn wait_said(&self, what: &str) {
        wait_for(&format!("{what:?} in\n{}", self.said()), || self.said().contains(what).then_some(()));
    }

    /// Waits until `/readyz` says 200.
    pub fn wait_ready(&mut self) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                panic!("it ended ({status}):\n{}", self.said());
            }
            let answer = self.http("/readyz");
            if answer.as_ref().is_some_and(|(status, _)| *status == 200) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not ready: {answer:?}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One request to the HTTP port: status and body.
    pub fn http(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports.http)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: sihai\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_string()))
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::connect(self.ports.client)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is ours");
    }

    /// SIGSTOP: it does nothing at all until [`Node::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, and its end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        wait_for("its end", || self.child.try_wait().expect("it is ours"))
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }

    /// Its resident memory.
    pub fn memory_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).expect("it runs");
        let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("it is a number");
        pages * 4096
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- node on port {} said:\n{}", self.ports.client, self.said());
        }
    }
}

/// Nodes of one cluster, the first its founder, each ready before the next joins; `flags` for all of them. `prepare`
/// sees each one's ports before it starts.
pub fn cluster_with(dir: &Dir, count: usize, flags: &[&str], prepare: impl Fn(&Ports)) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..count {
        let data = dir.at(&number.to_string());
        let mut all = vec!["--dir", data.as_str()];
        all.extend(flags);
        let target = nodes.first().map(|first| format!("127.0.0.1:{}", first.ports.peer));
        if let Some(target) = &target {
            all.extend(["--join", target]);
        }
        let ports = Ports::free();
        prepare(&ports);
        let mut node = Node::start(ports, &all);
        node.wait_ready();
        nodes.push(node);
    }
    nodes
}

/// Nodes of one cluster.
pub fn cluster(dir: &Dir, count: usize) -> Vec<Node> {
    cluster_with(dir, count, &[], |_| {})
}

/// Waits until every group has this many voters, as this node knows.
pub fn wait_voters(node: &Node, wanted: usize) {
    wait_for("all copies vote", || {
        let (_, report) = node.http("/status")?;
        let report: serde_json::Value = serde_json::from_str(&report).ok()?;
        let groups = report["groups"].as_array()?;
        let all = !groups.is_empty()
            && groups.iter().all(|group| {
                group["copies"].as_array().is_some_and(|copies| {
                    copies.iter().filter(|copy| copy["voter"] == true).count() == wanted
                })
            });
        all.then_some(())
    });
}

/// A connection that speaks the protocol.
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("somebody listens")
    }

    pub fn try_connect(port: u16) -> std::io::Result<Self> {
        Self::of(TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?)
    }

    /// From another address of this machine: each has ports of its own.
    pub fn connect_from(address: [u8; 4], port: u16) -> Self {
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((address, 0)).into())?;
            socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
            Self::of(socket.into())
        };
        connect().expect("somebody listens")
    }

    fn of(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::new() })
    }

    /// Nobody waits longer than this for a reply.
    pub fn set_patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("it is a time");
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next reply; nothing if the connection was closed.
    pub fn reply(&mut self) -> std::io::Result<Option<Frame>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some((frame, taken)) = Frame::parse(&self.input).expect("replies are frames") {
                self.input.drain(..taken);
                return Ok(Some(frame));
            }
            match self.stream.read(&mut chunk)? {
                0 => return Ok(None),
                count => self.input.extend_from_slice(&chunk[..count]),
            }
        }
    }

    pub fn try_call(&mut self, words: &[&str]) -> std::io::Result<Frame> {
        self.send(&request(words))?;
        self.reply()?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    pub fn call(&mut self, words: &[&str]) -> Frame {
        self.try_call(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// A command as its bytes.
pub fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes += &format!("${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}

/// A reply that is a byte string.
pub fn bulk(text: &str) -> Frame {
    Frame::Bulk(text.as_bytes().to_vec())
}

/// The reply to what has worked.
pub fn ok() -> Frame {
    Frame::Simple(b"OK".to_vec())
}
