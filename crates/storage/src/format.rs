//! The file `sihai` in every data directory: that it is one, of which version, and which of the node's mirrors.

use crate::disk::{Disk, DiskFile};
use crate::mirror::read_all;
use crate::record::{SANE_NUMBER_MAX, VERSION};
use std::io;

/// What it is called.
pub const FORMAT: &str = "sihai";
/// What it is called while it is being written.
const FORMAT_NEW: &str = "sihai-new";

const MAGIC: [u8; 8] = *b"SIHAIDIR";
const COPY_BYTES: usize = 32;
const SECOND_COPY: usize = 4096;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Which mirror.
    pub mirror: u32,
    /// Whether a log was begun here. If it says so and there is none, it was lost.
    pub in_use: bool,
}

/// What reading it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Nothing,
    /// It can't be read.
    Rotten,
    /// A newer release wrote it.
    Newer(u32),
    /// This.
    Good(Format),
}

fn encode(format: Format) -> Vec<u8> {
    let mut copy = [0; COPY_BYTES];
    copy[4..12].copy_from_slice(&MAGIC);
    copy[12..16].copy_from_slice(&VERSION.to_le_bytes());
    copy[16..20].copy_from_slice(&format.mirror.to_le_bytes());
    copy[20] = u8::from(format.in_use);
    let crc = crc32c::crc32c(&copy[4..]);
    copy[..4].copy_from_slice(&crc.to_le_bytes());
    let mut bytes = vec![0; SECOND_COPY + COPY_BYTES];
    bytes[..COPY_BYTES].copy_from_slice(&copy);
    bytes[SECOND_COPY..].copy_from_slice(&copy);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Found> {
    let copy = bytes.get(..COPY_BYTES)?;
    let u32_at = |at: usize| u32::from_le_bytes(copy[at..at + 4].try_into().expect("four bytes"));
    if copy[4..12] != MAGIC || u32_at(0) != crc32c::crc32c(&copy[4..]) {
        return None;
    }
    match (u32_at(12), copy[20]) {
        (VERSION, in_use @ 0..=1) if u32_at(16) < SANE_NUMBER_MAX => {
            Some(Found::Good(Format { mirror: u32_at(16), in_use: in_use == 1 }))
        }
        (VERSION, _) => None,
        (newer, _) => Some(Found::Newer(newer)),
    }
}

/// Reads it.
pub fn read<D: Disk>(disk: &D) -> io::Result<Found> {
    let file = match disk.open(FORMAT) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let bytes = read_all(&file)?;
    let second = bytes.get(SECOND_COPY..).unwrap_or_default();
    Ok(decode(&bytes).or_else(|| decode(second)).unwrap_or(Found::Rotten))
}

/// Writes it, so that either the old or the new one is there whatever happens.
pub fn write<D: Disk>(disk: &D, format: Format) -> io::Result<()> {
    match disk.remove(FORMAT_NEW) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(FORMAT_NEW)?;
    file.write_at(0, &encode(format))?;
    file.sync_data()?;
    disk.rename(FORMAT_NEW, FORMAT)?;
    disk.sync_directory()
}

/// Whether a file of this name may lie in a directory that is otherwise empty.
pub fn may_be_in_empty(name: &str) -> bool {
    name == FORMAT_NEW || name == "lost+found" || name.starts_with('.')
}
