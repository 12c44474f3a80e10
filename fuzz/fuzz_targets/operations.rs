//! What a log's entries say: read and written again they are the same, and a shard or meta that applies them stays
//! sound, whatever the words of their commands.
#![no_main]

use base::{DatabaseId, Index, UnixMillis};
use command::CommandId;
use keyspace::Keyspace;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use node::machine::{Machine, State};
use node::meta::Meta;
use node::op::{BatchReader, BatchWriter, Invocation, Op, Words};
use resp::{Frame, Protocol};

#[derive(Arbitrary, Debug)]
enum Entry<'a> {
    Raw(&'a [u8]),
    Command { id: u16, database: u8, target: Option<u8>, resp3: bool, words: Vec<&'a [u8]>, time: u32 },
}

fn batch_of(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let (id, database, target, resp3, words, time) = match entry {
        Entry::Raw(bytes) => return Some(bytes.to_vec()),
        Entry::Command { id, database, target, resp3, words, time } => {
            (id, database, target, resp3, words, time)
        }
    };
    let spec = command::by_id(CommandId(id % 512))?;
    if words.is_empty() || !spec.takes(words.len()) {
        return None;
    }
    let invocation = Invocation {
        spec,
        database: DatabaseId(u64::from(database % 3) + 1),
        target: target.map(|target| DatabaseId(u64::from(target % 3) + 1)),
        protocol: if *resp3 { Protocol::Resp3 } else { Protocol::Resp2 },
        words: Words::from_slice(words),
    };
    let mut batch = BatchWriter::default();
    batch.push(None, &Op::Command(invocation));
    Some(batch.finish(UnixMillis(u64::from(*time)), 7))
}

fn read_back(batch: &[u8]) {
    let Ok(mut reader) = BatchReader::new(batch) else { return };
    let mut writer = BatchWriter::default();
    while let Ok(Some((provenance, op))) = reader.next() {
        writer.push(provenance, &op);
    }
    let bytes = writer.finish(reader.time, reader.seed);
    let mut again = BatchReader::new(&bytes).expect("it was written by ourselves");
    while again.next().expect("it was written by ourselves").is_some() {}
}

fuzz_target!(|entries: Vec<Entry<'_>>| {
    let config = node::Config { shards: 4, ..node::Config::default() };
    let meta = State::Meta(Box::new(Meta::founding(&config, 1, [1, 2])));
    for state in [State::Shard(Keyspace::new([1, 2])), meta] {
        let is_shard = matches!(state, State::Shard(_));
        let mut machine = Machine::new(state);
        for entry in &entries {
            let Some(batch) = batch_of(entry) else { continue };
            // What raw bytes make of a transaction is answered to the gateway, not to a client.
            let is_command = matches!(entry, Entry::Command { .. });
            read_back(&batch);
            let index = Index(machine.applied.0 + 1);
            let applied = machine.apply(index, &batch, |_, _, outcome| {
                if let node::machine::Outcome::Done(reply) = outcome
                    && is_shard
                    && is_command
                    && !reply.is_empty()
                {
                    let whole = Frame::parse(reply).expect("a reply is well formed");
                    assert_eq!(whole.expect("and whole").1, reply.len());
                }
            });
            if let Some(keyspace) = machine.keyspace() {
                keyspace.check();
            }
            if let Some(meta) = machine.meta() {
                meta.check();
            }
            if applied.is_err() {
                break;
            }
        }
    }
});
