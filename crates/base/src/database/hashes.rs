//! Hashes: fields with values, in an order that is state (a keyed hash of each field), equal on all replicas. A field can
//! have a time to live of its own; who reads says at what time, and doesn't see what has expired by then.

use super::{Expiry, WrongType};
use crate::time::UnixMillis;

/// A hash to read. It has at least one field that has not expired.
pub trait Hash {
    /// How many fields there are at `now`.
    fn len(&self, now: UnixMillis) -> usize;
    /// Whether there is none, which no hash ever is at the time at which its database is read.
    fn is_empty(&self, now: UnixMillis) -> bool {
        self.len(now) == 0
    }
    /// The value of `field`.
    fn get(&self, field: &[u8], now: UnixMillis) -> Option<&[u8]>;
    /// When `field` expires: `None` if it isn't there, `Some(None)` if it never does by itself.
    fn expires_at(&self, field: &[u8], now: UnixMillis) -> Option<Option<UnixMillis>>;
    /// The field at `index` among those that are there at `now`, with its value, in the hash's own order, for random picks; in
    /// logarithmic time where no field has a time to live.
    fn at(&self, index: usize, now: UnixMillis) -> Option<(&[u8], &[u8])>;
    /// Visits fields with their values in the hash's own order, until `visit` answers false.
    fn walk(&self, now: UnixMillis, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool);
    /// Visits fields with their values from `cursor` on, with the promise of [`Set::scan`](super::Set::scan).
    fn scan(
        &self,
        cursor: u64,
        limit: usize,
        now: UnixMillis,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<u64>;
}

/// What commands do with hashes.
pub trait Hashes {
    /// The hash under `key`.
    fn hash(&self, key: &[u8]) -> Result<Option<&dyn Hash>, WrongType>;

    /// Gives fields values, and their times to live as `expiry` says (a time that isn't after the database's deletes the
    /// fields); a missing key is an empty hash. Answers how many fields were new.
    fn hash_set(&mut self, key: &[u8], fields: &[(&[u8], &[u8])], expiry: Expiry)
    -> Result<usize, WrongType>;
    /// Takes fields out; with the last one goes the key. Answers how many were there.
    fn hash_remove(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<usize, WrongType>;
    /// Sets or clears when `field` expires; whether it was there. A time that isn't after the database's deletes it.
    fn hash_set_expiry(
        &mut self,
        key: &[u8],
        field: &[u8],
        at: Option<UnixMillis>,
    ) -> Result<bool, WrongType>;
}
