//! The parameters of OBJECT ENCODING: the whole cluster's, under the names of Redis 7 and the older ones of `ziplist`.

use crate::meta::Meta;
use keyspace::Encodings;

/// One of them.
pub(super) struct Limit {
    /// Under which it is kept.
    pub key: &'static str,
    /// Under which Redis before 7 knew it; empty if it is new.
    old: &'static str,
    least: i64,
    get: fn(&Encodings) -> i64,
    set: fn(&mut Encodings, i64),
}

/// A number of elements or bytes, as it is kept.
fn size(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

macro_rules! sizes {
    ($($key:literal or $old:literal: $($field:ident).+;)*) => {
        [$(Limit {
            key: $key,
            old: $old,
            least: 0,
            get: |limits| i64::try_from(limits.$($field).+).unwrap_or(i64::MAX),
            set: |limits, value| limits.$($field).+ = size(value),
        }),*]
    };
}

static SIZES: [Limit; 7] = sizes! {
    "hash-max-listpack-entries" or "hash-max-ziplist-entries": hash.entries;
    "hash-max-listpack-value" or "hash-max-ziplist-value": hash.value_bytes;
    "set-max-intset-entries" or "": set_intset_entries;
    "set-max-listpack-entries" or "": set.entries;
    "set-max-listpack-value" or "": set.value_bytes;
    "zset-max-listpack-entries" or "zset-max-ziplist-entries": sorted_set.entries;
    "zset-max-listpack-value" or "zset-max-ziplist-value": sorted_set.value_bytes;
};

static LISTS: Limit = Limit {
    key: "list-max-listpack-size",
    old: "list-max-ziplist-size",
    least: i32::MIN as i64,
    get: |limits| limits.list_listpack_size.into(),
    set: |limits, value| limits.list_listpack_size = i32::try_from(value).unwrap_or(i32::MAX),
};

/// Taken and shown, for those who set it; nothing in a list is ever compressed here.
static COMPRESSION: Limit =
    Limit { key: "list-compress-depth", old: "", least: 0, get: |_| 0, set: |_, _| {} };

fn all() -> impl Iterator<Item = &'static Limit> {
    SIZES.iter().chain([&LISTS, &COMPRESSION])
}

/// Finds one by either of its names.
pub(super) fn find(name: &[u8]) -> Option<&'static Limit> {
    all().find(|limit| [limit.key, limit.old].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())))
}

/// All names, with the values that hold.
pub(super) fn show(meta: &Meta) -> Vec<(&'static str, String)> {
    let defaults = Encodings::default();
    all()
        .flat_map(|limit| {
            let kept = meta.setting(limit.key).map(str::to_string);
            let value = kept.unwrap_or_else(|| (limit.get)(&defaults).to_string());
            [(limit.key, value.clone()), (limit.old, value)]
        })
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

impl Limit {
    /// Reads a new value, as it is kept, or says what is wrong with it.
    pub fn parse(&self, value: &str) -> Result<String, String> {
        let most = if self.least < 0 { i32::MAX.into() } else { i64::MAX };
        match value.parse::<i64>() {
            Ok(number) if (self.least..=most).contains(&number) => Ok(number.to_string()),
            Ok(_) => Err(format!("argument must be between {} and {most} inclusive", self.least)),
            Err(_) => Err("argument couldn't be parsed into an integer".to_string()),
        }
    }
}

/// The limits that the cluster's settings make.
pub fn of(meta: &Meta) -> Encodings {
    let mut limits = Encodings::default();
    for limit in all() {
        if let Some(value) = meta.setting(limit.key).and_then(|value| value.parse().ok()) {
            (limit.set)(&mut limits, value);
        }
    }
    limits
}
