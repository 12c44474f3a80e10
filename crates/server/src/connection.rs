//! A connection to a node, or to a Redis, as a client has it: for the commands of the command line. It blocks.

use node::api::Migrated;
use node::resp::Frame;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Longer passwords are none.
const PASSWORD_BYTES_MAX: usize = 4096;

/// Who somebody says to be.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The user; without one, the default user.
    pub user: Option<String>,
    /// The password, if one is to be given.
    pub password: Option<Vec<u8>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The password of this file, or else of this variable of the environment. The error is a sentence.
    pub fn from_file_or_environment(
        user: Option<String>,
        file: Option<&Path>,
        variable: &str,
    ) -> Result<Self, String> {
        let password = match file {
            Some(path) => Some(read_password(path)?),
            None => std::env::var(variable).ok().map(String::into_bytes),
        };
        Ok(Self { user, password })
    }
}

fn read_password(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path)
        .map_err(|error| format!("the password file {} can't be read: {error}", path.display()))?;
    let password = bytes.trim_ascii_end();
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("the password file {} must have one password, and nothing else", path.display()));
    }
    Ok(password.to_vec())
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// Where in `input` the next frame begins.
    at: usize,
}

impl Connection {
    /// Connects; nothing on it takes longer than `timeout`.
    pub fn open(address: &str, timeout: Duration) -> io::Result<Self> {
        let mut last = io::Error::other("the name has no address");
        for resolved in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&resolved, timeout) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    stream.set_nodelay(true)?;
                    return Ok(Self { stream, input: Vec::new(), at: 0 });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Says who one is; answers the server's refusal, if it refuses.
    pub fn authenticate(&mut self, credentials: &Credentials) -> io::Result<Option<String>> {
        let Some(password) = &credentials.password else { return Ok(None) };
        let reply = match &credentials.user {
            Some(user) => self.call(&[b"AUTH", user.as_bytes(), password])?,
            None => self.call(&[b"AUTH", password])?,
        };
        Ok(reply.error().map(std::borrow::Cow::into_owned))
    }

    /// Sends a command and waits for its reply.
    pub fn call(&mut self, words: &[&[u8]]) -> io::Result<Frame> {
        let mut request = Vec::new();
        push_command(&mut request, words);
        self.send(&request)?;
        self.receive()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for a reply.
    pub fn receive(&mut self) -> io::Result<Frame> {
        loop {
            match Frame::parse(&self.input[self.at..]) {
                Ok(Some((frame, taken))) => {
                    self.at += taken;
                    return Ok(frame);
                }
                Ok(None) => self.fill()?,
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
    }

    /// Waits for a reply, and appends its bytes.
    fn receive_onto(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        let length = loop {
            match Frame::parse(&self.input[self.at..]) {
                Ok(Some((_, taken))) => break taken,
                Ok(None) => self.fill()?,
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        };
        to.extend_from_slice(&self.input[self.at..self.at + length]);
        self.at += length;
        Ok(())
    }

    /// A reply that is here already.
    pub fn received(&mut self) -> io::Result<Option<Frame>> {
        match Frame::parse(&self.input[self.at..]) {
            Ok(found) => Ok(found.map(|(frame, taken)| {
                self.at += taken;
                frame
            })),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }

    /// Waits for a line, and takes it without its end.
    pub fn receive_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let rest = &self.input[self.at..];
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest[..length].trim_ascii_end().to_vec();
                self.at += length + 1;
                return Ok(line);
            }
            self.fill()?;
        }
    }

    /// Reads what is there, as `Read::read` does: 0 at the end.
    pub fn receive_some(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let rest = &self.input[self.at..];
        if rest.is_empty() {
            return self.stream.read(to);
        }
        let count = rest.len().min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }

    /// Gives back what was read too much: it comes next.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.input.splice(..self.at, bytes.iter().copied());
        self.at = 0;
    }

    /// From now on nothing that is read takes longer than this.
    pub fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(timeout))
    }

    /// Reads more of what comes.
    pub fn fill(&mut self) -> io::Result<()> {
        self.input.drain(..self.at);
        self.at = 0;
        let filled = self.input.len();
        self.input.resize(filled + CHUNK_BYTES, 0);
        let read = self.stream.read(&mut self.input[filled..]);
        self.input.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Says this to another server and hears its answers.
pub fn visit(address: &str, timeout: Duration, requests: &[u8], replies: usize) -> Migrated {
    let Ok(mut connection) = Connection::open(address, timeout) else { return Migrated::Unreachable };
    let mut answers = Vec::new();
    let mut talk = || {
        connection.send(requests)?;
        (0..replies).try_for_each(|_| connection.receive_onto(&mut answers))
    };
    match talk() {
        Ok(()) => Migrated::Answered(answers),
        Err(_) => Migrated::Broke(answers),
    }
}

/// Appends a command as clients send it.
pub fn push_command<W: AsRef<[u8]>>(to: &mut Vec<u8>, words: &[W]) {
    // A vector takes everything.
    let _ = write!(to, "*{}\r\n", words.len());
    for word in words.iter().map(AsRef::as_ref) {
        let _ = write!(to, "${}\r\n", word.len());
        to.extend_from_slice(word);
        to.extend_from_slice(b"\r\n");
    }
}
