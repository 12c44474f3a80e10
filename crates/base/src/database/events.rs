//! What a change tells the outside: keyspace events, in Redis's classes.

use core::fmt::{self, Write};

/// Which events a node tells, as `notify-keyspace-events` says it; one bit a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventClasses(pub u32);

/// A class of events, by its letter in `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum EventClass {
    /// `g`: DEL, EXPIRE, RENAME and others that don't care for the type.
    Generic = 1 << 2,
    /// `$`: strings.
    String = 1 << 3,
    /// `l`: lists.
    List = 1 << 4,
    /// `s`: sets.
    Set = 1 << 5,
    /// `h`: hashes.
    Hash = 1 << 6,
    /// `z`: sorted sets.
    SortedSet = 1 << 7,
    /// `x`: a key or field has expired.
    Expired = 1 << 8,
    /// `e`: a key was evicted.
    Evicted = 1 << 9,
    /// `t`: streams.
    Stream = 1 << 10,
    /// `m`: a key was looked for and not found.
    KeyMiss = 1 << 11,
    /// `d`: modules.
    Module = 1 << 13,
    /// `n`: a key came to be.
    New = 1 << 14,
}

impl EventClass {
    /// The class of this bit, if it is one's.
    pub fn of_bit(bit: u32) -> Option<Self> {
        use EventClass::*;
        let all =
            [Generic, String, List, Set, Hash, SortedSet, Expired, Evicted, Stream, KeyMiss, Module, New];
        all.into_iter().find(|class| *class as u32 == bit)
    }
}

impl EventClasses {
    /// All that there are, in no form.
    pub const EVERY: Self = Self(Self::ALL.0 | EventClass::KeyMiss as u32 | EventClass::New as u32);
    /// `K`: told as `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: Self = Self(1);
    /// `E`: told as `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// `A`: all classes but key misses and new keys.
    pub const ALL: Self = Self(
        EventClass::Generic as u32
            | EventClass::String as u32
            | EventClass::List as u32
            | EventClass::Set as u32
            | EventClass::Hash as u32
            | EventClass::SortedSet as u32
            | EventClass::Expired as u32
            | EventClass::Evicted as u32
            | EventClass::Stream as u32
            | EventClass::Module as u32,
    );

    /// Whether events of this class are told in some form.
    #[inline]
    pub const fn has(self, class: EventClass) -> bool {
        self.0 & class as u32 != 0
    }

    /// Reads the letters of `notify-keyspace-events`; nothing if one of them is none.
    pub fn parse(letters: &str) -> Option<Self> {
        let mut classes = Self(0);
        for letter in letters.chars() {
            classes.0 |= match letter {
                'A' => Self::ALL.0,
                letter => LETTERS.iter().find(|(known, _)| *known == letter)?.1,
            };
        }
        Some(classes)
    }
}

/// The letters of single classes, in the order in which Redis shows them.
const LETTERS: [(char, u32); 14] = [
    ('g', EventClass::Generic as u32),
    ('$', EventClass::String as u32),
    ('l', EventClass::List as u32),
    ('s', EventClass::Set as u32),
    ('h', EventClass::Hash as u32),
    ('z', EventClass::SortedSet as u32),
    ('x', EventClass::Expired as u32),
    ('e', EventClass::Evicted as u32),
    ('t', EventClass::Stream as u32),
    ('d', EventClass::Module as u32),
    ('K', EventClasses::KEYSPACE.0),
    ('E', EventClasses::KEYEVENT.0),
    ('m', EventClass::KeyMiss as u32),
    ('n', EventClass::New as u32),
];

/// As CONFIG GET shows it: `A` stands for all classes that it means.
impl fmt::Display for EventClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0 & Self::ALL.0 == Self::ALL.0;
        if all {
            f.write_char('A')?;
        }
        for (letter, bit) in LETTERS {
            if self.0 & bit != 0 && !(all && Self::ALL.0 & bit != 0) {
                f.write_char(letter)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_letters_read_back_as_redis_shows_them() {
        for (given, shown) in [("", ""), ("KEA", "AKE"), ("xE", "xE"), ("Kg$lshzxetd", "AK"), ("mKn", "Kmn")]
        {
            assert_eq!(EventClasses::parse(given).map(|classes| classes.to_string()).as_deref(), Some(shown));
        }
        assert_eq!(EventClasses::parse("KX"), None);
    }
}
