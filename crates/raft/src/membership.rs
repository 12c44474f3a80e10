//! Changes of membership: the maths, and when they take effect.

/// Why a change of membership can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Two majorities are needed already; that must end before another change.
    AlreadyJoint,
    /// There is no joint configuration to leave.
    NotJoint,
    /// Nobody could decide anything any more.
    NoVoters,
    /// Several voters change at once, which only a joint configuration may do.
    TooManyVotersChange,
}
