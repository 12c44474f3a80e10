//! What a script may ask of the world. The engine knows no command: the host runs them, on data that it holds.

use resp::Protocol;

/// Answers `redis.call` and its like.
pub trait Host {
    /// Carries out a command, its name first, and appends its reply in `protocol` to `reply`; a refused command is a reply, too. The
    /// host that can't answer (it must fetch something first) says so, and remembers why: then the run ends, and the script never learns.
    fn call(&mut self, words: &[&[u8]], protocol: Protocol, reply: &mut Vec<u8>) -> Result<(), Unanswered>;

    /// Whether the user for whom the script runs may run this command; nothing if there is no such command.
    fn may_call(&mut self, words: &[&[u8]]) -> Option<bool>;

    /// The script has something to tell whoever reads the logs.
    fn log(&mut self, level: LogLevel, text: &[u8]);
}

/// The host can't answer now: the run has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

/// How much a script thinks its message matters; its numbers are those of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For who writes the script.
    Debug = 0,
    /// For who watches closely.
    Verbose = 1,
    /// The ordinary course of things.
    Notice = 2,
    /// Something is worse than it should be.
    Warning = 3,
}

impl LogLevel {
    /// The level of this number, if there is one.
    pub fn from_number(number: f64) -> Option<Self> {
        // As C truncates it.
        match number as i64 {
            0 => Some(Self::Debug),
            1 => Some(Self::Verbose),
            2 => Some(Self::Notice),
            3 => Some(Self::Warning),
            _ => None,
        }
    }
}
