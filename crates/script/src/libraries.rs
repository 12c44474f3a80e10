//! The libraries that scripts of Redis expect. What they do and how they fail is what the C libraries in Redis do; they are written anew,
//! so that what they spend counts.

/// Bits of numbers.
pub(crate) mod bits;
/// JSON.
pub(crate) mod json;
/// MessagePack.
pub(crate) mod msgpack;
/// Lua's patterns.
pub(crate) mod patterns;
/// Records of fixed layout.
pub(crate) mod structs;

/// How many values a function may return at once: more don't fit on Lua's stack.
pub(crate) const VALUES_MAX: usize = 7000;
