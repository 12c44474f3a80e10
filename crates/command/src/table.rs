//! All commands, and how a request finds its own: by name, through a table that the compiler builds, and by the number
//! that the log keeps.

use crate::error::Error;
use crate::families::{FAMILIES, FAMILY_COUNTS};
use crate::spec::{CommandId, Group, Place, Spec};

/// How many commands there are, subcommands not counted.
pub const COUNT: usize = {
    let mut count = 0;
    let mut family = 0;
    while family < FAMILY_COUNTS.len() {
        count += FAMILY_COUNTS[family];
        family += 1;
    }
    count
};

/// All commands, subcommands inside theirs.
pub static COMMANDS: [Spec; COUNT] = {
    let mut all = [Spec::new(0, "", 0, Group::Server, Place::Node); COUNT];
    let mut next = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut at = 0;
        while at < FAMILIES[family].len() {
            all[next] = FAMILIES[family][at];
            next += 1;
            at += 1;
        }
        family += 1;
    }
    all
};

/// A power of two, several times [`COUNT`], so that most probes end at once.
const BUCKETS: usize = 1024;
/// No command.
const NOBODY: u16 = u16::MAX;
/// Every id is below.
pub const IDS: usize = 1024;

/// Open addressing by [`hash`]: positions in [`COMMANDS`].
static BY_NAME: [u16; BUCKETS] = {
    assert!(COUNT * 2 < BUCKETS, "the name table has become too full");
    let mut buckets = [NOBODY; BUCKETS];
    let mut at = 0;
    while at < COUNT {
        let mut bucket = hash(COMMANDS[at].name.as_bytes());
        while buckets[bucket] != NOBODY {
            bucket = (bucket + 1) % BUCKETS;
        }
        buckets[bucket] = at as u16;
        at += 1;
    }
    buckets
};

/// Positions in [`COMMANDS`] and, for a subcommand, among its siblings.
static BY_ID: [(u16, u16); IDS] = {
    let mut ids = [(NOBODY, NOBODY); IDS];
    let mut at = 0;
    while at < COUNT {
        let spec = &COMMANDS[at];
        assert!(ids[spec.id.0 as usize].0 == NOBODY, "two commands have one id");
        ids[spec.id.0 as usize] = (at as u16, NOBODY);
        let mut child = 0;
        while child < spec.subcommands.len() {
            let id = spec.subcommands[child].id.0 as usize;
            assert!(ids[id].0 == NOBODY, "two commands have one id");
            ids[id] = (at as u16, child as u16);
            child += 1;
        }
        at += 1;
    }
    ids
};

/// FNV-1a over the letters, whatever their case.
#[inline]
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ (name[at] | 0x20) as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    // The low bits alone are the weakest.
    ((hash >> 16) ^ hash) as usize % BUCKETS
}

/// The command of this name, in any case; not its subcommands.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    // Also bounds the work on a name that is no name.
    if name.len() > 32 {
        return None;
    }
    let mut bucket = hash(name);
    loop {
        let spec = COMMANDS.get(usize::from(BY_NAME[bucket]))?;
        if spec.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(spec);
        }
        bucket = (bucket + 1) % BUCKETS;
    }
}

/// The command of this name, or the subcommand of a name like `client|list`, in any case.
pub fn lookup_full(name: &[u8]) -> Option<&'static Spec> {
    let container = name.split(|byte| *byte == b'|').next().unwrap_or(name);
    let spec = lookup(container)?;
    if container.len() == name.len() {
        return Some(spec);
    }
    spec.subcommands.iter().find(|child| child.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The command or subcommand of this number.
#[inline]
pub fn by_id(id: CommandId) -> Option<&'static Spec> {
    let (at, child) = *BY_ID.get(usize::from(id.0))?;
    let spec = COMMANDS.get(usize::from(at))?;
    if child == NOBODY { Some(spec) } else { spec.subcommands.get(usize::from(child)) }
}

/// The command or subcommand that these words ask for, if there are as many as it takes.
#[inline]
pub fn resolve(args: &[&[u8]]) -> Result<&'static Spec, Error> {
    let Some(spec) = args.first().and_then(|name| lookup(name)) else { return Err(unknown(args)) };
    let spec = match args.get(1) {
        Some(name) if !spec.subcommands.is_empty() => subcommand(spec, name)?,
        _ => spec,
    };
    if spec.takes(args.len()) { Ok(spec) } else { Err(Error::Arity(spec.name)) }
}

fn subcommand(spec: &'static Spec, name: &[u8]) -> Result<&'static Spec, Error> {
    spec.subcommands
        .iter()
        .find(|child| child.short_name().as_bytes().eq_ignore_ascii_case(name))
        .ok_or_else(|| Error::UnknownSubcommand(shortened(name, 128).into(), spec.name))
}

/// Redis shows the name, and arguments until they fill 128 bytes.
fn unknown(args: &[&[u8]]) -> Error {
    let name = shortened(args.first().copied().unwrap_or_default(), 128);
    let mut shown = String::new();
    for word in args.iter().skip(1) {
        if shown.len() >= 128 {
            break;
        }
        let word = shortened(word, 128 - shown.len());
        shown.extend(["'", &word, "' "]);
    }
    Error::UnknownCommand(format!("'{name}', with args beginning with: {shown}").into())
}

fn shortened(word: &[u8], bytes_max: usize) -> String {
    String::from_utf8_lossy(&word[..word.len().min(bytes_max)]).into_owned()
}

#[cfg(test)]
mod tests;
