//! Scripts and functions. The gateway runs them on a scratch, as commands over several shards (see [`runs`](crate::runs)); the driver
//! carries that out away from the engine's thread, so that no script holds up anybody else. What they did is logged, never their text.
//!
//! (DESIGN.md, section 7; `docs/decisions/0012-scripts.md`.)

/// What `redis.call` reaches.
mod desk;
/// Which scripts are known, and which libraries.
mod programs;
/// What runs now, and how it is ended.
mod running;
/// What a driver carries out.
pub mod work;

pub(crate) use desk::{Context, Told};
pub(crate) use programs::Known;
pub(crate) use running::{Running, Which};
pub use work::{Bench, Work};
