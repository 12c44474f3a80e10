//! Reading a file, a chunk of bytes at a time.

use super::super::string::{read_number, read_owned, read_string, take, take_array, take_byte};
use super::super::{BadValue, CRC, VERSION_FIELD_EXPIRY, Value, read_value, types};
use super::{Item, Key, MAGIC, Skipped, opcodes};
use base::UnixMillis;
use crc::{Digest, Table};

/// The first version with a checksum at the end.
const VERSION_CHECKED: u16 = 5;

/// Reads a file: [`Reader::feed`] it, take items until there is none, and so on; at the end of the file
/// [`Reader::finish`] and take the rest. It holds the bytes of the largest item, and its value.
pub struct Reader {
    bytes: Vec<u8>,
    /// Where in `bytes` the next item begins.
    start: usize,
    /// It isn't tried with fewer bytes than these, so that a long item isn't read again and again while it grows.
    wanted: usize,
    /// No more bytes will come.
    finished: bool,
    state: State,
    checksum: Digest<'static, u64, Table<16>>,
    database: u64,
    about: About,
    /// Bytes of the file that were read as items.
    position: u64,
}

/// A place between two keys of a file, where a reader can go on. What it says of itself is the checksum of everything
/// before it, so whoever goes on can find out whether it is the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How many bytes come before it.
    pub position: u64,
    /// Of the file.
    pub version: u16,
    /// To which the keys that follow belong.
    pub database: u64,
    /// Of what comes before it: [`crc64`](super::super::crc64).
    pub checksum: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Items { version: u16 },
    Complete,
}

/// What stands before a key.
#[derive(Debug, Default, PartialEq, Eq)]
struct About {
    expires_at: Option<UnixMillis>,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("state", &self.state)
            .field("waiting_bytes", &(self.bytes.len() - self.start))
            .finish_non_exhaustive()
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Nothing read so far.
    pub fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            wanted: 1,
            finished: false,
            state: State::Header,
            checksum: CRC.digest(),
            database: 0,
            about: About::default(),
            position: 0,
        }
    }

    /// Goes on at a mark. What is fed begins there.
    pub fn resume(mark: Mark) -> Self {
        Self {
            state: State::Items { version: mark.version },
            // A digest begins with its bits the other way round.
            checksum: CRC.digest_with_initial(mark.checksum.reverse_bits()),
            database: mark.database,
            position: mark.position,
            ..Self::new()
        }
    }

    /// The place that the reading has reached, if it lies between two items; nothing before the first and after the last.
    pub fn mark(&self) -> Option<Mark> {
        let State::Items { version } = self.state else { return None };
        (self.about == About::default()).then(|| Mark {
            position: self.position,
            version,
            database: self.database,
            checksum: self.checksum.clone().finalize(),
        })
    }

    /// How many bytes of the file were read as items: after an error, where what couldn't be read begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes the next bytes of the file.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(chunk);
    }

    /// There are no more bytes.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether the file was read to its end, and its checksum is right.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// What comes next; `None` if that takes more bytes, or at the end of the file. After an error the file is of no
    /// further use.
    pub fn next_item(&mut self) -> Result<Option<Item>, BadValue> {
        loop {
            let waiting = &self.bytes[self.start..];
            if self.state == State::Complete {
                let trailing = BadValue::Malformed("more bytes behind the end of the file");
                return if waiting.is_empty() { Ok(None) } else { Err(trailing) };
            }
            if waiting.len() < self.wanted && !self.finished {
                return Ok(None);
            }
            let mut rest = waiting;
            let step = match read_step(self.state, &mut rest) {
                Err(BadValue::Short) if !self.finished => {
                    self.wanted = (waiting.len() * 2).max(1);
                    return Ok(None);
                }
                step => step?,
            };
            let (taken, _) = waiting.split_at(waiting.len() - rest.len());
            if let Step::End { checksum } = step {
                self.checksum.update(&taken[..1]);
                if checksum != 0 && checksum != self.checksum.clone().finalize() {
                    return Err(BadValue::Checksum);
                }
            } else {
                self.checksum.update(taken);
            }
            self.start += taken.len();
            self.position += taken.len() as u64;
            self.wanted = 1;
            if let Some(item) = self.take_step(step) {
                return Ok(Some(item));
            }
        }
    }

    /// What a step means in this place of the file.
    fn take_step(&mut self, step: Step) -> Option<Item> {
        match step {
            Step::Header { version } => self.state = State::Items { version },
            Step::Database(number) => self.database = number,
            Step::ExpiresAt(at) => self.about.expires_at = Some(at),
            Step::Idle(idle_s) => self.about.idle_s = Some(idle_s),
            Step::Frequency(frequency) => self.about.frequency = Some(frequency),
            Step::Hint => {}
            Step::End { .. } => self.state = State::Complete,
            Step::Item(item) => return Some(item),
            Step::Key { key, value } => {
                let database = self.database;
                let About { expires_at, idle_s, frequency } = std::mem::take(&mut self.about);
                return Some(match value {
                    Found::Value(value) => {
                        Item::Key(Key { database, key, value, expires_at, idle_s, frequency })
                    }
                    Found::Nothing => Item::Skipped(Skipped::Empty { database, key }),
                    Found::Module(module) => Item::Skipped(Skipped::ModuleValue { database, key, module }),
                });
            }
        }
        None
    }
}

/// The smallest parts of a file.
enum Step {
    Header {
        version: u16,
    },
    Database(u64),
    ExpiresAt(UnixMillis),
    Idle(u64),
    Frequency(u8),
    /// How large something will be.
    Hint,
    Item(Item),
    Key {
        key: Vec<u8>,
        value: Found,
    },
    End {
        checksum: u64,
    },
}

enum Found {
    Value(Value),
    Nothing,
    Module(String),
}

fn read_step(state: State, from: &mut &[u8]) -> Result<Step, BadValue> {
    let State::Items { version } = state else { return read_header(from) };
    Ok(match take_byte(from)? {
        opcodes::SLOT => {
            for _ in 0..3 {
                read_number(from)?;
            }
            Step::Hint
        }
        opcodes::SIZES => {
            for _ in 0..2 {
                read_number(from)?;
            }
            Step::Hint
        }
        opcodes::FUNCTION => Step::Item(Item::Function(read_owned(from)?)),
        opcodes::MODULE_DATA => {
            let module = module_name(read_number(from)?);
            skip_module(from)?;
            Step::Item(Item::Skipped(Skipped::ModuleData { module }))
        }
        opcodes::AUX => Step::Item(Item::Aux { name: read_owned(from)?, value: read_owned(from)? }),
        opcodes::IDLE => Step::Idle(read_number(from)?),
        opcodes::FREQUENCY => Step::Frequency(take_byte(from)?),
        opcodes::EXPIRES_AT_MS => Step::ExpiresAt(time(i64::from_le_bytes(take_array(from)?))),
        opcodes::EXPIRES_AT_S => {
            Step::ExpiresAt(time(i64::from(i32::from_le_bytes(take_array(from)?)) * 1000))
        }
        opcodes::DATABASE => Step::Database(read_number(from)?),
        opcodes::END if version < VERSION_CHECKED => Step::End { checksum: 0 },
        opcodes::END => Step::End { checksum: u64::from_le_bytes(take_array(from)?) },
        kind => read_key(kind, from)?,
    })
}

fn read_header(from: &mut &[u8]) -> Result<Step, BadValue> {
    const NO_FILE: BadValue = BadValue::Malformed("another beginning than a file of Redis");
    let magic = &from[..from.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) {
        return Err(NO_FILE);
    }
    take_array::<5>(from)?;
    let digits: [u8; 4] = take_array(from)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(NO_FILE);
    }
    let version = digits.iter().fold(0, |version, digit| version * 10 + u16::from(digit - b'0'));
    if version > VERSION_FIELD_EXPIRY {
        Err(BadValue::Version(version))
    } else {
        Ok(Step::Header { version })
    }
}

fn read_key(kind: u8, from: &mut &[u8]) -> Result<Step, BadValue> {
    let known = kind <= types::HASH_EXPIRY_LISTPACK && kind != types::HASH_ZIPMAP - 1;
    if !known {
        return Err(BadValue::Type(kind));
    }
    let key = read_owned(from)?;
    let value = match kind {
        types::MODULE => {
            let module = module_name(read_number(from)?);
            skip_module(from)?;
            Found::Module(module)
        }
        kind => match read_value(kind, from) {
            Err(BadValue::Empty) => Found::Nothing,
            value => Found::Value(value?),
        },
    };
    Ok(Step::Key { key, value })
}

/// A time, or the beginning of 1970 if it lies before, which makes no difference now.
fn time(ms: i64) -> UnixMillis {
    UnixMillis(u64::try_from(ms).unwrap_or(0))
}

/// Nine characters of six bits each, above ten bits of version.
fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|place| char::from(CHARACTERS[(id >> (10 + 6 * place)) as usize & 63])).collect()
}

/// What a module wrote, which says the type of each part.
fn skip_module(from: &mut &[u8]) -> Result<(), BadValue> {
    loop {
        match read_number(from)? {
            0 => return Ok(()),
            1 | 2 => _ = read_number(from)?,
            3 => _ = take(from, 4)?,
            4 => _ = take(from, 8)?,
            5 => _ = read_string(from)?,
            _ => return Err(BadValue::Malformed("data of a module in a form that doesn't exist")),
        }
    }
}
