//! What is in a row: a word in lists and sets, two and perhaps a deadline in hashes, a word and a score in sorted sets.
//!
//! | row | bytes |
//! |---|---|
//! | word | its length (1), it |
//! | field | the name's length (bits 0–6), whether it expires (bit 7); the name; the value, a word; when it expires in milliseconds (0 or 8) |
//! | member with a score | the member, a word; a small whole score (1), or what follows (1) and a number of two, four or eight bytes |

use super::{FIELDS_MAX, ROWS_MAX};
use base::UnixMillis;

/// Longer words aren't packed.
const WORD_BYTES_MAX: usize = 0x7f;
/// Beside the length of a name.
const VOLATILE: u8 = 0x80;

/// A score that is a whole number up to this is its own byte.
const SCORE_BYTE_MAX: i32 = 0xfc;
const SCORE_I16: u8 = 0xfd;
const SCORE_I32: u8 = 0xfe;
const SCORE_F64: u8 = 0xff;

/// An element of a collection, lent by it or by who brings it.
pub(crate) trait Row<'a>: Copy {
    /// A collection with more of them is a tree.
    const COUNT_MAX: usize;
    /// The same kind of row, lent by another.
    type By<'b>: Row<'b>;

    /// Reads it off the front.
    fn read(rest: &mut &'a [u8]) -> Self;
    /// Writes it at the front of `out`, which becomes what is behind it.
    fn write(self, out: &mut &mut [u8]);
    /// How many bytes it takes; nothing if it is too long to be packed.
    fn packed_len(self) -> Option<usize>;
    /// What it is found by, where it is found by a name.
    fn name(self) -> &'a [u8];
    /// Whether it has what few rows have, so that it pays to know that none has.
    fn is_marked(self) -> bool {
        false
    }
}

/// A field of a hash. It is marked if it expires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldRow<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) until: Option<UnixMillis>,
}

/// A member of a sorted set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoredRow<'a> {
    pub(crate) member: &'a [u8],
    pub(crate) score: f64,
}

impl<'a> Row<'a> for &'a [u8] {
    const COUNT_MAX: usize = ROWS_MAX;
    type By<'b> = &'b [u8];

    #[inline]
    fn read(rest: &mut &'a [u8]) -> Self {
        let [length] = read(rest);
        read_bytes(rest, usize::from(length))
    }

    fn write(self, out: &mut &mut [u8]) {
        write(out, &[self.len() as u8]);
        write(out, self);
    }

    fn packed_len(self) -> Option<usize> {
        (self.len() <= WORD_BYTES_MAX).then_some(1 + self.len())
    }

    #[inline]
    fn name(self) -> &'a [u8] {
        self
    }
}

impl<'a> Row<'a> for FieldRow<'a> {
    const COUNT_MAX: usize = FIELDS_MAX;
    type By<'b> = FieldRow<'b>;

    #[inline]
    fn read(rest: &mut &'a [u8]) -> Self {
        let [head] = read(rest);
        let name = read_bytes(rest, usize::from(head & !VOLATILE));
        let value = Row::read(rest);
        let until = (head & VOLATILE != 0).then(|| UnixMillis(u64::from_le_bytes(read(rest))));
        Self { name, value, until }
    }

    fn write(self, out: &mut &mut [u8]) {
        let volatile = if self.until.is_some() { VOLATILE } else { 0 };
        write(out, &[self.name.len() as u8 | volatile]);
        write(out, self.name);
        self.value.write(out);
        if let Some(until) = self.until {
            write(out, &until.0.to_le_bytes());
        }
    }

    fn packed_len(self) -> Option<usize> {
        let deadline = if self.until.is_some() { 8 } else { 0 };
        Some(self.name.packed_len()? + self.value.packed_len()? + deadline)
    }

    #[inline]
    fn name(self) -> &'a [u8] {
        self.name
    }

    fn is_marked(self) -> bool {
        self.until.is_some()
    }
}

impl<'a> Row<'a> for ScoredRow<'a> {
    const COUNT_MAX: usize = ROWS_MAX;
    type By<'b> = ScoredRow<'b>;

    #[inline]
    fn read(rest: &mut &'a [u8]) -> Self {
        let member = Row::read(rest);
        let [first] = read(rest);
        let score = match first {
            SCORE_I16 => f64::from(i16::from_le_bytes(read(rest))),
            SCORE_I32 => f64::from(i32::from_le_bytes(read(rest))),
            SCORE_F64 => f64::from_le_bytes(read(rest)),
            whole => f64::from(whole),
        };
        Self { member, score }
    }

    fn write(self, out: &mut &mut [u8]) {
        self.member.write(out);
        match whole(self.score) {
            Some(score @ 0..=SCORE_BYTE_MAX) => write(out, &[score as u8]),
            Some(score) => match i16::try_from(score) {
                Ok(score) => {
                    write(out, &[SCORE_I16]);
                    write(out, &score.to_le_bytes());
                }
                Err(_) => {
                    write(out, &[SCORE_I32]);
                    write(out, &score.to_le_bytes());
                }
            },
            None => {
                write(out, &[SCORE_F64]);
                write(out, &self.score.to_le_bytes());
            }
        }
    }

    fn packed_len(self) -> Option<usize> {
        let score = match whole(self.score) {
            Some(0..=SCORE_BYTE_MAX) => 1,
            Some(score) if i16::try_from(score).is_ok() => 3,
            Some(_) => 5,
            None => 9,
        };
        Some(self.member.packed_len()? + score)
    }

    #[inline]
    fn name(self) -> &'a [u8] {
        self.member
    }
}

/// The score as a whole number, if nothing is lost by that, not even the sign of a zero.
fn whole(score: f64) -> Option<i32> {
    let whole = score as i32;
    (f64::from(whole).to_bits() == score.to_bits()).then_some(whole)
}

#[inline]
fn read<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, left) = rest.split_first_chunk::<N>().expect("a row is whole");
    *rest = left;
    *taken
}

#[inline]
fn read_bytes<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}

fn write(out: &mut &mut [u8], bytes: &[u8]) {
    let (here, behind) = std::mem::take(out).split_at_mut(bytes.len());
    here.copy_from_slice(bytes);
    *out = behind;
}
