//! The bytes of a HyperLogLog: a header, and its registers in one of two forms.
//!
//! ```text
//! 0       4          5        8                        16
//! "HYLL"  encoding   zeros    cardinality, or unknown  registers
//! ```
//!
//! The encoding is 0 or 1. The cardinality is little-endian; the highest bit of its last byte says that it isn't known.
//!
//! Dense (0): 16,384 registers of six bits, the lower bits of a byte first. Sparse (1): runs of registers with equal values, until
//! there are 16,384:
//!
//! ```text
//! 00nnnnnn             n+1 registers are zero
//! 01nnnnnn nnnnnnnn    n+1 registers are zero
//! 1vvvvvnn             n+1 registers are v+1
//! ```
//!
//! A string grows sparse up to [`SPARSE_BYTES_MAX`] or until a register exceeds what a run can say, and is dense from then on. Runs are
//! split and joined just as Redis does it, so that equal histories give equal bytes.

use crate::error::Error;

/// How many registers there are.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;
/// So many bits of an element's hash choose its register.
const INDEX_BITS: usize = 14;
/// The others say what the register has seen.
pub(super) const HASH_BITS: usize = 64 - INDEX_BITS;
/// Redis's default of hll-sparse-max-bytes; a constant of all replicas here.
const SPARSE_BYTES_MAX: usize = 3000;

const MAGIC: &[u8] = b"HYLL";
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + (REGISTERS * 6).div_ceil(8);
/// Where the header says the encoding, and the two that there are.
const ENCODING_AT: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// Where the header has the cardinality, and the bit that says that it isn't known.
const CARDINALITY_AT: usize = 8;
const UNKNOWN: u8 = 0x80;

/// The longest runs of each kind, and the largest value of one.
const SHORT_ZEROS_MAX: usize = 64;
const ZEROS_MAX: usize = REGISTERS;
const VALUES_MAX: usize = 4;
const VALUE_MAX: u8 = 32;

/// Joining looks at so many runs, from the one before the change on.
const RUNS_LOOKED_AT: usize = 5;

/// The value of each register.
pub(super) type Registers = [u8; REGISTERS];
pub(super) const NO_REGISTERS: Registers = [0; REGISTERS];

const NOT_ONE: Error = Error::Other("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPT: Error = Error::Other("INVALIDOBJ Corrupted HLL object detected");

/// MurmurHash64A by Austin Appleby (public domain), whatever the machine's byte order.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        hash = (hash ^ mixed.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> SHIFT)
}

/// The register of an element, and the value that it raises it to: one more than the zeros that its hash goes on with.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = hash(element, 0xadc8_3b19);
    let register = hash as usize % REGISTERS;
    let rest = hash >> INDEX_BITS | 1 << HASH_BITS;
    (register, rest.trailing_zeros() as u8 + 1)
}

/// Some registers that follow each other and have one value.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Run {
    /// 0 in a run of zeros.
    value: u8,
    length: usize,
}

impl Run {
    /// The first run in `bytes`, which must not be empty, and how many bytes it takes.
    fn read(bytes: &[u8]) -> (Self, usize) {
        let first = bytes[0];
        let low = usize::from(first & 0x3f);
        match first >> 6 {
            0 => (Self { value: 0, length: low + 1 }, 1),
            // Half a run at the end is a run of the wrong length, and the string is found corrupt by that.
            1 => (
                Self { value: 0, length: (low << 8 | usize::from(bytes.get(1).copied().unwrap_or(0))) + 1 },
                2,
            ),
            _ => (Self { value: (first >> 2 & 0x1f) + 1, length: usize::from(first & 3) + 1 }, 1),
        }
    }

    /// Appends it, if it isn't empty.
    fn write(self, to: &mut Vec<u8>) {
        let Some(length) = self.length.checked_sub(1) else { return };
        if self.value > 0 {
            to.push(0x80 | (self.value - 1) << 2 | length as u8);
        } else if self.length <= SHORT_ZEROS_MAX {
            to.push(length as u8);
        } else {
            to.extend_from_slice(&[0x40 | (length >> 8) as u8, length as u8]);
        }
    }
}

/// What elements a string has counted.
pub(super) struct Sketch(Vec<u8>);

impl Sketch {
    pub(super) fn empty() -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.resize(HEADER_BYTES, 0);
        bytes[ENCODING_AT] = SPARSE;
        Run { value: 0, length: ZEROS_MAX }.write(&mut bytes);
        Self(bytes)
    }

    /// Takes a string for one, if it looks like one. Whether its runs are whole is known when they are walked.
    pub(super) fn read(string: &[u8]) -> Result<Self, Error> {
        let looks_right = string.len() >= HEADER_BYTES
            && string.starts_with(MAGIC)
            && match string[ENCODING_AT] {
                DENSE => string.len() == DENSE_BYTES,
                encoding => encoding == SPARSE,
            };
        if looks_right { Ok(Self(string.to_vec())) } else { Err(NOT_ONE) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_dense(&self) -> bool {
        self.0[ENCODING_AT] == DENSE
    }

    /// The cardinality that the header has, if it has one.
    pub(super) fn cardinality(&self) -> Option<u64> {
        let bytes = self.0[CARDINALITY_AT..].first_chunk::<8>()?;
        (bytes[7] & UNKNOWN == 0).then(|| u64::from_le_bytes(*bytes))
    }

    /// Says that the cardinality isn't known.
    pub(super) fn forget_cardinality(&mut self) {
        self.0[CARDINALITY_AT + 7] |= UNKNOWN;
    }

    /// The values of all registers.
    pub(super) fn registers(&self) -> Result<Registers, Error> {
        let mut all = NO_REGISTERS;
        if self.is_dense() {
            for (register, value) in all.iter_mut().enumerate() {
                *value = self.dense(register);
            }
            return Ok(all);
        }
        let (mut at, mut first) = (HEADER_BYTES, 0);
        while at < self.0.len() {
            let (run, bytes) = Run::read(&self.0[at..]);
            let registers = all.get_mut(first..first + run.length).ok_or(CORRUPT)?;
            registers.fill(run.value);
            first += run.length;
            at += bytes;
        }
        if first == REGISTERS { Ok(all) } else { Err(CORRUPT) }
    }

    /// Raises a register to `value`, if it is lower; whether it was.
    pub(super) fn raise(&mut self, register: usize, value: u8) -> Result<bool, Error> {
        if self.is_dense() {
            Ok(self.raise_dense(register, value))
        } else {
            self.raise_sparse(register, value)
        }
    }

    /// Its runs as PFDEBUG DECODE shows them; `None` in the dense form.
    pub(super) fn describe(&self) -> Option<String> {
        if self.is_dense() {
            return None;
        }
        let (mut at, mut runs) = (HEADER_BYTES, Vec::new());
        while at < self.0.len() {
            let (run, bytes) = Run::read(&self.0[at..]);
            runs.push(match (run.value, bytes) {
                (0, 1) => format!("z:{}", run.length),
                (0, _) => format!("Z:{}", run.length),
                (value, _) => format!("v:{value},{}", run.length),
            });
            at += bytes;
        }
        Some(runs.join(" "))
    }

    /// Changes to the dense form.
    pub(super) fn make_dense(&mut self) -> Result<(), Error> {
        if self.is_dense() {
            return Ok(());
        }
        let registers = self.registers()?;
        self.0.truncate(HEADER_BYTES);
        self.0.resize(DENSE_BYTES, 0);
        self.0[ENCODING_AT] = DENSE;
        for (register, value) in registers.iter().enumerate() {
            self.set_dense(register, *value);
        }
        Ok(())
    }

    /// The two bytes that a register may lie in, and how many lower bits of them are its neighbour's.
    fn dense_pair(&self, register: usize) -> (usize, u16, usize) {
        let at = HEADER_BYTES + register * 6 / 8;
        let high = self.0.get(at + 1).copied().unwrap_or(0);
        (at, u16::from_le_bytes([self.0[at], high]), register * 6 % 8)
    }

    fn dense(&self, register: usize) -> u8 {
        let (_, pair, shift) = self.dense_pair(register);
        (pair >> shift) as u8 & 0x3f
    }

    fn set_dense(&mut self, register: usize, value: u8) {
        let (at, pair, shift) = self.dense_pair(register);
        let [low, high] = (pair & !(0x3f << shift) | u16::from(value & 0x3f) << shift).to_le_bytes();
        self.0[at] = low;
        // The last register ends with the string.
        if let Some(byte) = self.0.get_mut(at + 1) {
            *byte = high;
        }
    }

    fn raise_dense(&mut self, register: usize, value: u8) -> bool {
        let raises = self.dense(register) < value;
        if raises {
            self.set_dense(register, value);
        }
        raises
    }

    fn raise_sparse(&mut self, register: usize, value: u8) -> Result<bool, Error> {
        if value > VALUE_MAX {
            self.make_dense()?;
            return Ok(self.raise_dense(register, value));
        }
        // Find the run that the register is in, and where the one before it begins.
        let (mut before, mut at, mut first) = (HEADER_BYTES, HEADER_BYTES, 0);
        let (run, bytes) = loop {
            if at >= self.0.len() {
                return Err(CORRUPT);
            }
            let (run, bytes) = Run::read(&self.0[at..]);
            if register < first + run.length {
                break (run, bytes);
            }
            before = at;
            at += bytes;
            first += run.length;
        };
        if run.value >= value {
            return Ok(false);
        }
        let end = at + bytes;
        if end > self.0.len() {
            return Err(CORRUPT);
        }
        // It becomes up to three: what was before the register, the register, and what was behind it.
        let mut runs = Vec::with_capacity(5);
        Run { length: register - first, ..run }.write(&mut runs);
        Run { value, length: 1 }.write(&mut runs);
        Run { length: first + run.length - register - 1, ..run }.write(&mut runs);
        if runs.len() > bytes && self.0.len() + runs.len() - bytes > SPARSE_BYTES_MAX {
            self.make_dense()?;
            return Ok(self.raise_dense(register, value));
        }
        self.0.splice(at..end, runs);
        self.join(before);
        Ok(true)
    }

    /// Joins neighbours of equal values, among a few runs from `at` on.
    fn join(&mut self, mut at: usize) {
        let mut left = RUNS_LOOKED_AT;
        while left > 0 && at < self.0.len() {
            left -= 1;
            let (run, bytes) = Run::read(&self.0[at..]);
            if run.value > 0 && at + 1 < self.0.len() {
                let (next, _) = Run::read(&self.0[at + 1..]);
                let length = run.length + next.length;
                if next.value == run.value && length <= VALUES_MAX {
                    let mut joined = Vec::with_capacity(1);
                    Run { length, ..run }.write(&mut joined);
                    self.0.splice(at..at + 2, joined);
                    // The joined run may be joined again.
                    continue;
                }
            }
            at += bytes;
        }
    }
}
