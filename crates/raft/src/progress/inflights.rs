//! Appends with entries that a follower has not answered, oldest first, bounded by number and by bytes.

use alloc::collections::VecDeque;
use base::Index;

/// Unanswered appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inflights {
    messages_max: usize,
    bytes_max: usize,
    bytes: usize,
    /// The last entry of each, and its bytes.
    sent: VecDeque<(Index, usize)>,
}

impl Inflights {
    /// None yet.
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { messages_max, bytes_max, bytes: 0, sent: VecDeque::new() }
    }

    /// Notes an append whose last entry is `last`.
    pub fn add(&mut self, last: Index, bytes: usize) {
        self.bytes += bytes;
        self.sent.push_back((last, bytes));
    }

    /// Everything through `matched` is answered.
    pub fn answered(&mut self, matched: Index) {
        while let Some(&(last, bytes)) = self.sent.front() {
            if last > matched {
                break;
            }
            self.bytes -= bytes;
            self.sent.pop_front();
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.sent.clear();
        self.bytes = 0;
    }

    /// Whether nothing more may be sent.
    pub fn is_full(&self) -> bool {
        self.sent.len() >= self.messages_max || self.bytes >= self.bytes_max
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// How many bytes of entries they carry.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Inflights;
    use base::Index;

    #[test]
    fn a_window_fills_by_number_or_by_bytes_and_empties_by_answers() {
        let mut window = Inflights::new(2, 100);
        window.add(Index(5), 10);
        assert!(!window.is_full());
        window.add(Index(9), 10);
        assert!(window.is_full(), "two messages are the limit");
        window.answered(Index(8));
        assert_eq!((window.len(), window.bytes()), (1, 10));
        window.add(Index(10), 90);
        assert!(window.is_full());
        window.answered(Index(9));
        window.add(Index(11), 10);
        window.answered(Index(10));
        assert!(!window.is_full());
        window.clear();
        assert!(window.is_empty() && window.bytes() == 0);
        window.add(Index(12), 100);
        assert!(window.is_full(), "a hundred bytes are the limit");
    }
}
