//! What a majority, or two, have decided: pure functions of who votes and what each one has said. Nothing here knows
//! of terms, logs or time.

/// Two majorities at once, while membership changes.
pub mod joint;
/// One majority.
pub mod majority;

/// How a vote stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteResult {
    /// Neither won nor lost yet.
    Pending,
    /// A majority is out of reach.
    Lost,
    /// A majority said yes.
    Won,
}
