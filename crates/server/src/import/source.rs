//! Where the keys come from: a file, or a running Redis that believes to have a new replica.

use super::state::{State, beside};
use crate::connection::{Connection, Credentials};
use node::rdb::file::Reader;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a Redis may take to answer, or to go on; while it prepares its data it says every second that it lives.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The length of what marks the end of data whose length wasn't known.
const END_MARK_BYTES: usize = 40;
/// What is received at once where a mark is looked for.
const MARKED_CHUNK_BYTES: usize = 64 << 10;

/// A file that keys are read from.
#[derive(Debug)]
pub struct Dump {
    /// The file.
    pub file: File,
    /// Its size.
    pub bytes: u64,
    /// Where it is kept how far the import has come.
    pub state_path: PathBuf,
}

impl Dump {
    /// Opens a file. The error is a sentence.
    pub fn open(path: &Path, state_path: Option<&Path>) -> Result<Self, String> {
        let unreadable = |error: io::Error| format!("{} can't be read: {error}", path.display());
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(format!("{} is no file", path.display()));
        }
        let state_path = state_path.map_or_else(|| beside(path, ".sihai-import"), Path::to_path_buf);
        Ok(Self { file, bytes: metadata.len(), state_path })
    }

    /// A reader that goes on where `state` says, or begins.
    pub fn reader(&mut self, state: Option<&State>) -> Result<Reader, String> {
        let Some(state) = state else { return Ok(Reader::new()) };
        let belongs = state.belongs_to(&mut self.file, self.bytes);
        match belongs.map_err(|error| format!("the file can't be read: {error}"))? {
            true => Ok(Reader::resume(state.mark())),
            false => Err(format!(
                "{} is of an import of another file than this: the beginning isn't the same. Give --restart to begin \
                 anew, or the file that it was",
                self.state_path.display()
            )),
        }
    }
}

/// A Redis to copy from: `redis://[user:password@]host[:port][/database]`.
#[derive(Clone, Debug)]
pub struct Origin {
    /// HOST:PORT.
    pub address: String,
    /// Who the import is there.
    pub credentials: Credentials,
    /// The database to copy; otherwise all.
    pub database: Option<u64>,
    /// Whether the password was in the URL.
    pub told_password: bool,
    /// Which version of file is asked for; only Sihai can be asked.
    pub version: Option<u16>,
}

impl Origin {
    /// Reads such a URL. The error is a sentence.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = match url.split_once("://") {
            Some(("redis", rest)) => rest,
            Some(("rediss", _)) => {
                return Err(
                    "rediss:// can't be read: this release has no TLS. A tunnel (stunnel, ssh -L) helps"
                        .into(),
                );
            }
            _ => return Err(format!("{url} is no redis://[user:password@]HOST:PORT[/DB]")),
        };
        let (who, rest) = rest.rsplit_once('@').map_or((None, rest), |(who, rest)| (Some(who), rest));
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database.trim_end_matches('/') {
            "" => None,
            number => Some(number.parse().map_err(|_| format!("{number} is no number of a database"))?),
        };
        let bracketed = place.ends_with(']');
        let has_port = !bracketed && place.contains(':');
        if place.is_empty() {
            return Err(format!("{url} names no host"));
        }
        let address = if has_port { place.to_string() } else { format!("{place}:6379") };
        let mut credentials = Credentials::default();
        let told_password = who.is_some_and(|who| who.contains(':'));
        if let Some(who) = who {
            let (user, password) = who.split_once(':').unwrap_or((who, ""));
            credentials.user =
                Some(decoded(user)?).filter(|user| !user.is_empty()).map(lossless).transpose()?;
            credentials.password = Some(decoded(password)?).filter(|password| !password.is_empty());
        }
        Ok(Self { address, credentials, database, told_password, version: None })
    }

    /// Asks for all that there is; answers what gives it. `follow`: and for all that will change.
    pub fn sync(&self, follow: bool) -> Result<Copy, String> {
        let address = &self.address;
        let broke = |error: io::Error| format!("the connection to {address} broke: {error}");
        let mut connection = Connection::open(address, TIMEOUT)
            .map_err(|error| format!("no Redis answers at {address}: {error}"))?;
        if let Some(error) = connection.authenticate(&self.credentials).map_err(broke)? {
            return Err(format!("{address} doesn't accept the password: {error}"));
        }
        let pong = connection.call(&[b"PING"]).map_err(broke)?;
        if let Some(error) = pong.error() {
            return Err(match error.starts_with("NOAUTH") {
                true => format!(
                    "{address} wants a password: --from-password-file FILE, or SIHAI_FROM_AUTH in the environment"
                ),
                false => format!("{address} answers: {error}"),
            });
        }
        // An older Redis may know only some of these, which is no harm.
        connection.call(&[b"REPLCONF", b"listening-port", b"0"]).map_err(broke)?;
        connection.call(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]).map_err(broke)?;
        if !follow {
            connection.call(&[b"REPLCONF", b"rdb-only", b"1"]).map_err(broke)?;
        }
        if let Some(version) = self.version {
            let version = version.to_string();
            let reply = connection.call(&[b"REPLCONF", b"rdb-version", version.as_bytes()]).map_err(broke)?;
            if let Some(error) = reply.error() {
                return Err(format!("{address} answers: {error}"));
            }
        }
        let mut request = Vec::new();
        crate::connection::push_command(&mut request, &[&b"PSYNC"[..], b"?", b"-1"]);
        connection.send(&request).map_err(broke)?;
        let line = first_line(&mut connection).map_err(broke)?;
        let Some(place) = line.strip_prefix("+FULLRESYNC ") else {
            let said = line.trim_start_matches('-');
            let advice = match said.starts_with("NOPERM") || said.contains("unknown command") {
                true => {
                    ". The user needs the right to PSYNC and REPLCONF, and managed services often allow neither: then take \
                     a file from there"
                }
                false => "",
            };
            return Err(format!("{address} gives no copy of its data: {said}{advice}"));
        };
        let offset = place.split(' ').nth(1).and_then(|offset| offset.parse().ok()).unwrap_or(0);
        let line = first_line(&mut connection).map_err(broke)?;
        let extent = match line.strip_prefix('$') {
            Some(mark) if mark.starts_with("EOF:") && mark.len() == 4 + END_MARK_BYTES => {
                Extent::UntilMark(mark.as_bytes()[4..].to_vec())
            }
            Some(count) if count.parse::<u64>().is_ok() => Extent::Bytes(count.parse().unwrap_or(0)),
            _ => return Err(format!("{address} announces its data in a way that isn't known: {line}")),
        };
        Ok(Copy { connection, extent, offset, taken: 0, ahead: Vec::new(), ended: false })
    }
}

/// The next line that says something.
fn first_line(connection: &mut Connection) -> io::Result<String> {
    loop {
        let line = connection.receive_line()?;
        if !line.is_empty() {
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

fn lossless(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "the user's name in the URL isn't text".into())
}

/// `%41` is `A`.
fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                let text = std::str::from_utf8(&digits).unwrap_or_default();
                bytes.push(u8::from_str_radix(text, 16).unwrap_or_default());
                rest
            }
            [b'%', ..] => return Err("a % in the URL's user or password must be written %25".into()),
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

/// How it is known where the data end.
#[derive(Debug)]
enum Extent {
    Bytes(u64),
    UntilMark(Vec<u8>),
}

/// The data of a Redis, and behind them what changes there.
#[derive(Debug)]
pub struct Copy {
    /// To the Redis.
    pub connection: Connection,
    extent: Extent,
    /// Up to where in its stream of changes the data reach.
    pub offset: u64,
    taken: u64,
    /// What was received before it was known whether it is the mark.
    ahead: Vec<u8>,
    /// The mark has come.
    ended: bool,
}

impl Copy {
    /// How many bytes there will be, if that is known.
    pub fn total_bytes(&self) -> Option<u64> {
        match self.extent {
            Extent::Bytes(bytes) => Some(bytes),
            Extent::UntilMark(_) => None,
        }
    }
}

impl Read for Copy {
    /// Gives the data and then nothing: what follows them is the stream of changes, and waits in the connection.
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Extent::UntilMark(mark) = &self.extent else {
            let Extent::Bytes(bytes) = self.extent else { return Ok(0) };
            let wanted = to.len().min(usize::try_from(bytes - self.taken).unwrap_or(usize::MAX));
            if wanted == 0 {
                return Ok(0);
            }
            let count = self.connection.receive_some(&mut to[..wanted])?;
            self.taken += count as u64;
            return Ok(count);
        };
        let mut chunk = [0; MARKED_CHUNK_BYTES];
        // What might be the beginning of the mark is held back.
        while !self.ended && self.ahead.len() < mark.len() {
            let count = self.connection.receive_some(&mut chunk)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.ahead.extend_from_slice(&chunk[..count]);
            if let Some(at) = self.ahead.windows(mark.len()).position(|bytes| bytes == mark) {
                self.connection.unread(&self.ahead[at + mark.len()..]);
                self.ahead.truncate(at);
                self.ended = true;
            }
        }
        let ready = if self.ended { self.ahead.len() } else { self.ahead.len() - (mark.len() - 1) };
        let count = ready.min(to.len());
        to[..count].copy_from_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let origin = Origin::parse("redis://me:p%40ss@host:7000/3").expect("it is one");
        assert_eq!(origin.address, "host:7000");
        assert_eq!(origin.database, Some(3));
        assert_eq!(origin.credentials.user.as_deref(), Some("me"));
        assert_eq!(origin.credentials.password.as_deref(), Some(&b"p@ss"[..]));
        assert!(origin.told_password);
        let plain = Origin::parse("redis://host").expect("it is one");
        assert_eq!((plain.address.as_str(), plain.database, plain.told_password), ("host:6379", None, false));
        let only_password = Origin::parse("redis://:x@[::1]:1").expect("it is one");
        assert_eq!(only_password.address, "[::1]:1");
        assert_eq!((only_password.credentials.user, only_password.told_password), (None, true));
        assert_eq!(Origin::parse("redis://[::1]").expect("it is one").address, "[::1]:6379");
        for url in ["host:1", "rediss://host", "redis://", "redis://h/x", "redis://a%zz@h"] {
            assert!(Origin::parse(url).is_err(), "{url}");
        }
    }
}
