//! Classic bugs, to be switched on one at a time by a simulator that must find them. They exist only with the feature
//! `bugs`, and each replaces one line of the correct code.

/// Which bugs a replica has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    /// The vote is not written down, so that a restarted replica may vote twice in a term.
    pub forget_vote_on_restart: bool,
    /// A leader commits entries of earlier terms by counting copies (Raft, figure 8).
    pub commit_earlier_term_by_counting: bool,
    /// A lease counts from when an answer is received, not from when the question was sent, so that a pause between
    /// the two stretches it.
    pub lease_over_pause: bool,
    /// Votes and acknowledgements leave before what they promise is durable.
    pub acknowledge_before_fsync: bool,
    /// A replica whose log has an unreadable end goes on as if it had never been there.
    pub doubtful_tail_ignored: bool,
    /// A voter that starts doesn't wait for the promise that it gave before.
    pub restart_forgets_promise: bool,
}
