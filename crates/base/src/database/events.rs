//! What a change tells the outside: keyspace events, in Redis's classes.

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

impl EventClasses {
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
}
