//! A text's first line: `#!lua name=mylib flags=no-writes,allow-oom`. A script needn't have one, a library must.

use std::fmt;

/// What a script or function says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// It only reads.
    pub const NO_WRITES: Self = Self(1);
    /// It may write while memory is full.
    pub const ALLOW_OOM: Self = Self(2);
    /// It may run where the data may be old.
    pub const ALLOW_STALE: Self = Self(4);
    /// Not in a cluster of Redis's kind.
    pub const NO_CLUSTER: Self = Self(8);
    /// Over keys of several slots, which is always allowed here.
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(16);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::NO_WRITES, "no-writes"),
        (Self::ALLOW_OOM, "allow-oom"),
        (Self::ALLOW_STALE, "allow-stale"),
        (Self::NO_CLUSTER, "no-cluster"),
        (Self::ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
    ];

    /// Whether all of `other` are among these.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flag of this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| known.as_bytes() == name).map(|(flag, _)| *flag)
    }

    /// The names of these, in Redis's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        Self::NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }

    /// As a number, for formats.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From a number of a format; nothing if it has bits that stand for no flag.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits < 32).then_some(Self(bits))
    }
}

/// What stands in the first line, and where the code begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The library's name; empty in a script.
    pub name: String,
    /// The script's flags; nothing where there is no first line of this kind.
    pub flags: Option<Flags>,
    /// The code, from the end of the first line on, so that lines keep their numbers.
    pub code_at: usize,
}

/// The first line says something that it can't, in Redis's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError(pub String);

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HeaderError {}

fn refused<T>(why: impl Into<String>) -> Result<T, HeaderError> {
    Err(HeaderError(why.into()))
}

impl Header {
    /// That of a script.
    pub fn of_script(text: &[u8]) -> Result<Self, HeaderError> {
        if !text.starts_with(b"#!") {
            return Ok(Self { name: String::new(), flags: None, code_at: 0 });
        }
        let Some(code_at) = text.iter().position(|byte| *byte == b'\n') else {
            return refused("Invalid script shebang");
        };
        let Some(parts) = split(&text[..code_at]).filter(|parts| !parts.is_empty()) else {
            return refused("Invalid engine in script shebang");
        };
        if parts[0] != b"#!lua" {
            return refused(format!("Unexpected engine in script shebang: {}", lossy(&parts[0])));
        }
        let mut flags = Flags::default();
        for part in &parts[1..] {
            let Some(names) = part.strip_prefix(b"flags=") else {
                return refused(format!("Unknown lua shebang option: {}", lossy(part)));
            };
            if names.is_empty() {
                continue;
            }
            for name in names.split(|byte| *byte == b',') {
                let Some(flag) = Flags::named(name) else {
                    return refused(format!("Unexpected flag in script shebang: {}", lossy(name)));
                };
                flags = flags.with(flag);
            }
        }
        Ok(Self { name: String::new(), flags: Some(flags), code_at })
    }

    /// That of a library.
    pub fn of_library(text: &[u8]) -> Result<Self, HeaderError> {
        if !text.starts_with(b"#!") {
            return refused("Missing library metadata");
        }
        let line = text.iter().position(|byte| *byte == b'\n');
        let Some((code_at, parts)) = line.and_then(|end| Some((end, split(&text[..end])?))) else {
            return refused("Invalid library metadata");
        };
        let mut name: Option<Vec<u8>> = None;
        for part in &parts[1..] {
            match part.split_at_checked(5) {
                Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                    if name.is_some() {
                        return refused("Invalid metadata value, name argument was given multiple times");
                    }
                    name = Some(value.to_vec());
                }
                _ => return refused(format!("Invalid metadata value given: {}", lossy(part))),
            }
        }
        let Some(name) = name else { return refused("Library name was not given") };
        if !is_name(&name) {
            return refused(BAD_NAME);
        }
        let engine = &parts[0][2..];
        if !engine.eq_ignore_ascii_case(b"lua") {
            return refused(format!("Engine '{}' not found", lossy(engine)));
        }
        Ok(Self { name: lossy(&name), flags: None, code_at })
    }
}

/// Why a name of a library or function is none.
pub(crate) const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// Whether a library or function may be called so.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The words of a line, in quotes or not, as redis-cli reads them; nothing if a quote isn't closed.
fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let (word, taken) = next_word(rest)?;
        words.push(word);
        rest = &rest[taken..];
    }
}

fn next_word(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut word, mut at, mut quote) = (Vec::new(), 0, None);
    loop {
        let byte = text.get(at).copied();
        at += 1;
        match (quote, byte) {
            (None, None) => return Some((word, at - 1)),
            (Some(_), None) => return None,
            (None, Some(byte)) if byte.is_ascii_whitespace() => return Some((word, at)),
            (None, Some(mark @ (b'"' | b'\''))) => quote = Some(mark),
            (Some(mark), Some(byte)) if byte == mark => {
                // What follows a closed quote must be white space.
                return text.get(at).is_none_or(u8::is_ascii_whitespace).then_some((word, at));
            }
            (Some(b'"'), Some(b'\\')) => {
                let escaped = text.get(at).copied()?;
                at += 1;
                let hex = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
                if escaped == b'x'
                    && let (Some(high), Some(low)) = (hex(at), hex(at + 1))
                {
                    word.push((high * 16 + low) as u8);
                    at += 2;
                } else {
                    word.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'a' => 7,
                        other => other,
                    });
                }
            }
            (Some(b'\''), Some(b'\\')) if text.get(at) == Some(&b'\'') => {
                word.push(b'\'');
                at += 1;
            }
            (_, Some(byte)) => word.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Result<Header, String> {
        Header::of_script(text.as_bytes()).map_err(|error| error.0)
    }

    fn library(text: &str) -> Result<String, String> {
        Header::of_library(text.as_bytes()).map(|header| header.name).map_err(|error| error.0)
    }

    #[test]
    fn a_script_may_say_what_it_is() {
        assert_eq!(script("return 1").map(|header| (header.flags, header.code_at)), Ok((None, 0)));
        let header = script("#!lua flags=no-writes,allow-oom\nreturn 1").expect("a first line");
        assert_eq!(header.flags, Some(Flags::NO_WRITES.with(Flags::ALLOW_OOM)));
        assert_eq!(header.code_at, 31);
        assert_eq!(script("#!lua\n").map(|header| header.flags), Ok(Some(Flags::default())));
        assert_eq!(script("#!lua"), Err("Invalid script shebang".into()));
        assert_eq!(script("#!python\n"), Err("Unexpected engine in script shebang: #!python".into()));
        assert_eq!(script("#!lua bad=1\n"), Err("Unknown lua shebang option: bad=1".into()));
        assert_eq!(script("#!lua flags=bad\n"), Err("Unexpected flag in script shebang: bad".into()));
        assert_eq!(script("#!lua \"flags=\n"), Err("Invalid engine in script shebang".into()));
    }

    #[test]
    fn a_library_must_say_what_it_is() {
        assert_eq!(library("#!lua name=abc\n"), Ok("abc".into()));
        assert_eq!(library("#!lua NAME=\"abc\"\n"), Ok("abc".into()));
        assert_eq!(library("return 1"), Err("Missing library metadata".into()));
        assert_eq!(library("#!lua name=abc"), Err("Invalid library metadata".into()));
        assert_eq!(library("#!lua\n"), Err("Library name was not given".into()));
        assert_eq!(
            library("#!lua name=a name=b\n").unwrap_err(),
            "Invalid metadata value, name argument was given multiple times"
        );
        assert_eq!(library("#!lua name=a b=c\n"), Err("Invalid metadata value given: b=c".into()));
        assert_eq!(library("#!lua name=a-b\n"), Err(BAD_NAME.into()));
        assert_eq!(library("#!ruby name=ab\n"), Err("Engine 'ruby' not found".into()));
    }

    #[test]
    fn flags_go_through_formats() {
        for bits in 0..32 {
            assert_eq!(Flags::from_bits(bits).map(Flags::bits), Some(bits));
        }
        assert_eq!(Flags::from_bits(32), None);
        let named: Vec<_> = Flags::from_bits(31).expect("all").names().collect();
        assert_eq!(named, ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"]);
    }
}
