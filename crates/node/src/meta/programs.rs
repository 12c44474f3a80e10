//! Libraries of functions and scripts that were loaded: what every node must know to run them.

use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use bytes::Bytes;
use script::{Flags, Function, Library, Sha};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many libraries there may be, and how large their texts may be together.
pub const LIBRARIES_MAX: usize = 1024;
/// See [`LIBRARIES_MAX`].
pub const LIBRARIES_BYTES_MAX: usize = 16 << 20;
/// How many scripts that were loaded are kept, and how large they may be together: of more, the oldest are forgotten.
pub const LOADED_MAX: usize = 1024;
/// See [`LOADED_MAX`].
pub const LOADED_BYTES_MAX: usize = 8 << 20;

/// A library, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryRecord {
    /// Its name.
    pub name: String,
    /// Its text, with the first line.
    pub code: Bytes,
    /// Its functions, as its text registers them.
    pub functions: Vec<Function>,
}

impl From<(Library, Bytes)> for LibraryRecord {
    fn from((library, code): (Library, Bytes)) -> Self {
        Self { name: library.name, code, functions: library.functions }
    }
}

/// What becomes of libraries that are there already when others come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Those of the same name stand in the way.
    Add,
    /// Those of the same name are replaced.
    Replace,
    /// All go.
    Flush,
}

/// All libraries, and the scripts that were loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Programs {
    libraries: BTreeMap<String, Arc<LibraryRecord>>,
    /// By name in small letters, as functions are found in any case: the library, and which of its functions.
    functions: BTreeMap<String, (String, usize)>,
    /// Each with its place in the order in which they were loaded.
    scripts: BTreeMap<Sha, (u64, Bytes)>,
    next: u64,
    flushes: u64,
}

impl Programs {
    /// All libraries, by name.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = &LibraryRecord> {
        self.libraries.values().map(|library| &**library)
    }

    /// How many functions there are.
    pub fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// The function of this name, and the text of its library.
    pub fn function(&self, name: &str) -> Option<(&Bytes, &Function)> {
        let (library, at) = self.functions.get(&name.to_ascii_lowercase())?;
        let library = self.libraries.get(library)?;
        Some((&library.code, library.functions.get(*at)?))
    }

    /// The text of a script that was loaded.
    pub fn script(&self, sha: Sha) -> Option<&Bytes> {
        self.scripts.get(&sha).map(|(_, text)| text)
    }

    /// How many scripts were loaded, and how many bytes they take.
    pub fn loaded(&self) -> (usize, usize) {
        (self.scripts.len(), self.scripts.values().map(|(_, text)| text.len()).sum())
    }

    /// How often all scripts were forgotten: what a node remembers besides goes with them.
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    /// Takes in libraries: all of them, or none.
    pub(super) fn put(&mut self, libraries: Vec<LibraryRecord>, manner: Manner) -> Result<(), String> {
        let mut after = if manner == Manner::Flush { BTreeMap::new() } else { self.libraries.clone() };
        for library in libraries {
            if library.functions.is_empty() {
                return Err("No functions registered".into());
            }
            let name = library.name.clone();
            if after.insert(name.clone(), Arc::new(library)).is_some() && manner != Manner::Replace {
                return Err(format!("Library {name} already exists"));
            }
        }
        if after.len() > LIBRARIES_MAX {
            return Err(format!(
                "there would be more than {LIBRARIES_MAX} libraries (libraries-max): delete some"
            ));
        }
        let bytes: usize = after.values().map(|library| library.code.len()).sum();
        if bytes > LIBRARIES_BYTES_MAX {
            return Err(format!(
                "the libraries would take more than {LIBRARIES_BYTES_MAX} bytes (libraries-bytes-max): delete some"
            ));
        }
        self.functions = index(&after).map_err(|function| format!("Function {function} already exists"))?;
        self.libraries = after;
        Ok(())
    }

    /// Deletes a library.
    pub(super) fn delete(&mut self, name: &str) -> Result<(), String> {
        if self.libraries.remove(name).is_none() {
            return Err("Library not found".into());
        }
        self.functions.retain(|_, (library, _)| library != name);
        Ok(())
    }

    /// Keeps a script.
    pub(super) fn load(&mut self, text: Bytes) -> Result<(), String> {
        if text.len() > LOADED_BYTES_MAX {
            return Err(format!(
                "a script takes at most {LOADED_BYTES_MAX} bytes (loaded-scripts-bytes-max)"
            ));
        }
        let sha = Sha::of(&text);
        if self.scripts.contains_key(&sha) {
            return Ok(());
        }
        self.next += 1;
        self.scripts.insert(sha, (self.next, text));
        loop {
            let (count, bytes) = self.loaded();
            if count <= LOADED_MAX && bytes <= LOADED_BYTES_MAX {
                return Ok(());
            }
            let oldest = self.scripts.iter().min_by_key(|(_, (order, _))| *order).map(|(sha, _)| *sha);
            let Some(oldest) = oldest else { return Ok(()) };
            self.scripts.remove(&oldest);
        }
    }

    /// Forgets all scripts.
    pub(super) fn flush_scripts(&mut self) {
        self.scripts.clear();
        self.flushes += 1;
    }
}

/// Which library has which function; the name of one that two have.
fn index(
    libraries: &BTreeMap<String, Arc<LibraryRecord>>,
) -> Result<BTreeMap<String, (String, usize)>, String> {
    let mut functions = BTreeMap::new();
    for (name, library) in libraries {
        for (at, function) in library.functions.iter().enumerate() {
            if functions.insert(function.name.to_ascii_lowercase(), (name.clone(), at)).is_some() {
                return Err(function.name.clone());
            }
        }
    }
    Ok(functions)
}

impl Encode for LibraryRecord {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.str(&self.name);
        to.bytes(&self.code);
        to.u32(self.functions.len() as u32);
        for function in &self.functions {
            to.str(&function.name);
            to.bool(function.description.is_some());
            to.bytes(function.description.as_deref().unwrap_or_default());
            to.u8(function.flags.bits());
        }
    }
}

impl Decode for LibraryRecord {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (name, code) = (from.string()?, owned(from.bytes()?));
        let mut functions = Vec::new();
        for _ in 0..from.u32()? {
            let (name, described, description) = (from.string()?, from.bool()?, from.bytes()?);
            let flags =
                Flags::from_bits(from.u8()?).ok_or(DecodeError::Invalid("the flags of a function"))?;
            let description = described.then(|| description.to_vec());
            functions.push(Function { name, description, flags });
        }
        Ok(Self { name, code, functions })
    }
}

/// Out of the memory of what it was read from, which is large and would be pinned.
fn owned(bytes: Bytes) -> Bytes {
    Bytes::copy_from_slice(&bytes)
}

impl Encode for Manner {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(match self {
            Manner::Add => 1,
            Manner::Replace => 2,
            Manner::Flush => 3,
        });
    }
}

impl Decode for Manner {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        match from.u8()? {
            1 => Ok(Manner::Add),
            2 => Ok(Manner::Replace),
            3 => Ok(Manner::Flush),
            _ => Err(DecodeError::Invalid("a manner of taking in libraries")),
        }
    }
}

impl Encode for Programs {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.libraries.len() as u32);
        self.libraries.values().for_each(|library| library.encode(to));
        let mut scripts: Vec<&(u64, Bytes)> = self.scripts.values().collect();
        scripts.sort_by_key(|(order, _)| *order);
        to.u32(scripts.len() as u32);
        for (order, text) in scripts {
            to.u64(*order);
            to.bytes(text);
        }
        to.u64(self.next);
        to.u64(self.flushes);
    }
}

impl Decode for Programs {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut programs = Self::default();
        for _ in 0..from.u32()? {
            let library = LibraryRecord::decode(from)?;
            if programs.libraries.insert(library.name.clone(), Arc::new(library)).is_some() {
                return Err(DecodeError::Invalid("two libraries of one name"));
            }
        }
        programs.functions =
            index(&programs.libraries).map_err(|_| DecodeError::Invalid("two functions of one name"))?;
        let mut last = 0;
        for _ in 0..from.u32()? {
            let (order, text) = (from.u64()?, owned(from.bytes()?));
            if order <= last || programs.scripts.insert(Sha::of(&text), (order, text)).is_some() {
                return Err(DecodeError::Invalid("the order of scripts"));
            }
            last = order;
        }
        programs.next = from.u64()?;
        programs.flushes = from.u64()?;
        if programs.next < last { Err(DecodeError::Invalid("the order of scripts")) } else { Ok(programs) }
    }
}
