//! REPLCONF: what a client that asks for all data can do and wants. `redis-cli --rdb` and `sihai export` say it before SYNC.

use super::{Answered, is, shown};
use crate::node::Node;
use command::Error;
use keyspace::rdb;
use resp::number::parse_integer;

impl Node {
    pub(super) fn about_replication(&mut self, slot: u32, words: &[&[u8]]) -> Answered {
        let (pairs, []) = words[1..].as_chunks::<2>() else {
            return Err(Error::Syntax.text().into_owned().into());
        };
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        for [option, value] in pairs {
            if is(option, "ack") {
                // Nobody answers to it.
                return Ok(());
            } else if is(option, "listening-port") {
                client.replica.listens = true;
            } else if is(option, "capa") {
                client.replica.finds_end |= is(value, "eof");
            } else if is(option, "rdb-only") {
                client.replica.data_only = parse_integer(value) == Some(1);
            } else if is(option, "rdb-version") {
                let version = parse_integer(value).and_then(|version| u16::try_from(version).ok());
                let known = version.filter(|version| rdb::file::Writer::for_version(*version).is_some());
                if known.is_none() {
                    return Err(format!(
                        "ERR RDB version {} isn't written: {} (Redis 7.0), {} (7.2) and {} (7.4) are",
                        shown(value),
                        rdb::VERSION_REDIS_7_0,
                        rdb::VERSION,
                        rdb::VERSION_FIELD_EXPIRY
                    )
                    .into());
                }
                client.replica.version = known;
            } else if !(is(option, "ip-address") || (is(option, "rdb-filter-only") && value.is_empty())) {
                return Err(format!("ERR Unrecognized REPLCONF option: {}", shown(option)).into());
            }
        }
        self.reply_ok(slot)
    }
}
