//! The parameters of OBJECT ENCODING: the whole cluster's, under the names of Redis 7 and the older ones of `ziplist`.

use super::shared::{self, Shared};
use crate::meta::Meta;
use keyspace::Encodings;

/// A parameter that is a field, a number of elements or bytes.
macro_rules! sized {
    ($key:literal, $old:literal, $($field:ident).+) => {
        Shared {
            key: $key,
            old: $old,
            read: size,
            show: |limits| limits.$($field).+.to_string(),
            set: |limits, value| limits.$($field).+ = value.parse().unwrap_or(0),
        }
    };
}

pub(super) static PARAMETERS: [Shared<Encodings>; 9] = [
    sized!("hash-max-listpack-entries", "hash-max-ziplist-entries", hash.entries),
    sized!("hash-max-listpack-value", "hash-max-ziplist-value", hash.value_bytes),
    sized!("set-max-intset-entries", "", set_intset_entries),
    sized!("set-max-listpack-entries", "", set.entries),
    sized!("set-max-listpack-value", "", set.value_bytes),
    sized!("zset-max-listpack-entries", "zset-max-ziplist-entries", sorted_set.entries),
    sized!("zset-max-listpack-value", "zset-max-ziplist-value", sorted_set.value_bytes),
    Shared {
        key: "list-max-listpack-size",
        old: "list-max-ziplist-size",
        read: |value| number(value, i32::MIN.into(), i32::MAX.into()),
        show: |limits| limits.list_listpack_size.to_string(),
        set: |limits, value| limits.list_listpack_size = value.parse().unwrap_or(i32::MAX),
    },
    // Taken and shown, for those who set it; nothing in a list is ever compressed here.
    Shared { key: "list-compress-depth", old: "", read: size, show: |_| 0.to_string(), set: |_, _| {} },
];

/// A number of elements or bytes.
fn size(value: &str) -> Result<String, String> {
    number(value, 0, i64::MAX)
}

fn number(value: &str, least: i64, most: i64) -> Result<String, String> {
    match value.parse::<i64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
        Ok(_) => Err(format!("argument must be between {least} and {most} inclusive")),
        Err(_) => Err("argument couldn't be parsed into an integer".to_string()),
    }
}

/// The limits that the cluster's settings make.
pub fn of(meta: &Meta) -> Encodings {
    shared::of(&PARAMETERS, meta)
}
