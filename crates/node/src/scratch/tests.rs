//! Commands on scratches against the same commands on one shard: the same replies, the same state, the same events.

use super::*;
use crate::machine::{Machine, Outcome, State};
use crate::op::{BatchWriter, Op, Transaction, Wanted, What, Words};
use crate::runs::wanted_by;
use base::database::EventClasses;
use base::{Rng, slot_of};
use resp::Protocol;
use std::collections::BTreeSet;

const HASH_KEY: [u64; 2] = [3, 4];
const HERE: DatabaseId = DatabaseId(1);
const THERE: DatabaseId = DatabaseId(2);

/// Some shards, without any node around them.
struct Shards {
    slots: SlotMap,
    machines: Vec<Machine>,
    now: UnixMillis,
    /// Which acts have come about.
    acts: BTreeSet<String>,
}

/// An event as it is compared: where, what, of which key.
type Told = (DatabaseId, String, Vec<u8>);

impl Shards {
    fn new(count: u32) -> Self {
        let machine = |_| {
            let mut machine = Machine::new(State::Shard(Keyspace::new(HASH_KEY)));
            machine.keyspace_mut().expect("it is a shard").listen(EventClasses(u32::MAX));
            machine
        };
        let machines = (0..count).map(machine).collect();
        Self { slots: SlotMap::even(1, count), machines, now: UnixMillis(1_000_000), acts: BTreeSet::new() }
    }

    fn place(&self) -> Where {
        Where { hash_key: HASH_KEY, slots: self.slots.clone(), encodings: Encodings::default() }
    }

    /// Has a shard apply an operation; answers its reply.
    fn apply(&mut self, group: GroupId, op: &Op<'_>, seed: u64) -> Vec<u8> {
        let now = self.now;
        let machine = &mut self.machines[group.0 as usize - 1];
        let mut batch = BatchWriter::default();
        batch.push(None, op);
        let mut answer = Vec::new();
        let index = machine.applied.next();
        let applied = machine.apply(index, &batch.finish(now, seed), |_, _, _, outcome| match outcome {
            Outcome::Done(reply) => answer = reply.to_vec(),
            outcome => panic!("{outcome:?}"),
        });
        assert_eq!(applied, Ok(()));
        answer
    }

    fn fetch(&mut self, scratch: &mut Scratch, wanted: &[(DatabaseId, Bytes, What)]) {
        let now = self.now;
        for question in wanted {
            let (database, key, what) = question;
            let machine = &mut self.machines[self.slots.group_of_key(key).0 as usize - 1];
            let answer = machine.fetch(&[Wanted { database: *database, key, what: *what }], now);
            let answer = Bytes::from(answer.expect("it is small"));
            let answer = fetch::read(&answer, [question]).expect("it is an answer");
            for fetched in answer.keys {
                assert!(scratch.insert(fetched));
            }
        }
    }

    /// Runs commands on a scratch, as often as they need, and has the shards take what they did.
    fn run(&mut self, requests: &[Request], seed: u64, knows: bool) -> Vec<Vec<u8>> {
        let mut scratch = Scratch::new(self.place(), seed);
        if knows {
            let wanted: Vec<_> = wanted_by(requests, &[])
                .into_iter()
                .map(|((database, key), what)| (database, key, what))
                .collect();
            self.fetch(&mut scratch, &wanted);
        }
        let replies = 'again: loop {
            scratch.begin(self.now).expect("all are values");
            let mut replies = Vec::new();
            for request in requests {
                match scratch.run(&request.invocation(), false) {
                    Ok(reply) => replies.push(reply),
                    Err(Halt::Needs(needs)) => {
                        assert!(!needs.0.is_empty());
                        for (database, key) in needs.0 {
                            assert!(!scratch.holds(database, &key, true), "it is asked for once");
                            self.fetch(&mut scratch, &[(database, key, What::Value)]);
                        }
                        continue 'again;
                    }
                    Err(Halt::Failed(error)) => panic!("{request:?}: {error:?}"),
                }
            }
            break replies;
        };
        for (group, share) in scratch.shares() {
            for mutation in share.transaction().effects.iter().flat_map(Effects::mutations) {
                let act = format!("{:?}", mutation.act);
                self.acts.extend(act.split([' ', '(']).next().map(str::to_owned));
            }
            let outcome = self.apply(group, &Op::Transaction(share.transaction()), 1);
            assert_eq!(outcome, [1], "nothing has changed meanwhile");
        }
        replies
    }

    fn told(&mut self) -> Vec<Told> {
        let shards = self.machines.iter_mut().filter_map(Machine::keyspace_mut);
        let mut told: Vec<Told> = shards
            .flat_map(Keyspace::take_events)
            .map(|event| (event.database, event.event.into_owned(), event.key.into_vec()))
            .collect();
        // Of keys of several shards nobody can say what came first.
        told.sort();
        told
    }

    /// What a key holds, and until when.
    fn holds(&mut self, database: DatabaseId, key: &[u8]) -> Option<(Vec<u8>, Option<UnixMillis>)> {
        let now = self.now;
        let machine = &mut self.machines[self.slots.group_of_key(key).0 as usize - 1];
        let view = machine.keyspace_mut().expect("it is a shard").database(database, now);
        use base::database::Database;
        Some((view.value(key)?, view.expires_at(key)?))
    }

    fn check(&self) {
        self.machines.iter().filter_map(Machine::keyspace).for_each(Keyspace::check);
    }
}

fn request(words: &str, protocol: Protocol) -> Request {
    let words: Vec<Bytes> = words.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
    let all: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
    let spec = command::resolve(&all).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let target = spec.target(&all).ok().flatten().map(|index| if index.0 == 0 { HERE } else { THERE });
    let target = target.filter(|target| *target != HERE);
    Request { spec, database: HERE, target, protocol, words }
}

/// Requests to choose from: K stands for a key, V for a value, N for a number, F for a field or a member, T for a stream's id.
const WRITES: &str = "SET K V;SET K V EX 5;SET K V KEEPTTL;SET K V GET;SET K N;SETNX K V;MSET K V K V;MSETNX K V K V;GETSET K V;GETDEL K;\
GETEX K PX 700;APPEND K V;SETRANGE K N V;INCR K;INCRBYFLOAT K 1.5;SETBIT K N 1;BITOP XOR K K K;BITFIELD K SET u8 N N;\
PFADD K F F;PFMERGE K K K;DEL K K;UNLINK K;EXPIRE K 3;PEXPIRE K 900;PERSIST K;RENAME K K;RENAMENX K K;COPY K K;COPY K K REPLACE;\
COPY K K DB 1 REPLACE;MOVE K 1;LPUSH K V V;RPUSH K V V;LPUSHX K V;LINSERT K BEFORE V V;LSET K N V;LREM K 0 V;LTRIM K 0 N;LPOP K;\
RPOP K 2;LMOVE K K LEFT RIGHT;RPOPLPUSH K K;LMPOP 2 K K LEFT COUNT 2;SADD K F F F;SREM K F;SPOP K;SPOP K 2;SMOVE K K F;\
SINTERSTORE K K K;SUNIONSTORE K K K;SDIFFSTORE K K K;HSET K F V F V;HSETNX K F V;HDEL K F;HINCRBY K F 3;HINCRBYFLOAT K F 1.5;\
HPEXPIRE K 800 FIELDS 1 F;HPERSIST K FIELDS 1 F;ZADD K N F N F;ZADD K GT N F;ZINCRBY K 2.5 F;ZREM K F;ZPOPMIN K;ZPOPMAX K 2;\
ZMPOP 2 K K MIN;ZREMRANGEBYRANK K 0 0;ZREMRANGEBYSCORE K 0 N;ZUNIONSTORE K 2 K K WEIGHTS 2 3;ZINTERSTORE K 2 K K;ZDIFFSTORE K 2 K K;\
ZRANGESTORE K K 0 -1;GEOADD K 13.3 38.1 F;GEOSEARCHSTORE K K FROMLONLAT 13 38 BYRADIUS 500 km;XADD K * F V;XADD K MAXLEN 2 * F V;\
XTRIM K MAXLEN 1;XDEL K T;XGROUP CREATE K g 0 MKSTREAM;XGROUP DESTROY K g;XGROUP SETID K g 0;XREADGROUP GROUP g c COUNT 2 STREAMS K K > >;\
XREADGROUP GROUP g d STREAMS K 0;XACK K g T;XCLAIM K g d 0 T;XAUTOCLAIM K g d 0 0;XGROUP DELCONSUMER K g c;XSETID K 9999999-1;\
SORT K ALPHA STORE K;SORT K BY w_* GET # GET K STORE K;SORT K BY k* ALPHA STORE K;EXPIREAT K 900";

const READS: &str = "GET K;MGET K K K;STRLEN K;GETRANGE K 0 2;BITCOUNT K;PFCOUNT K K;EXISTS K K;TYPE K;TTL K;PTTL K;DUMP K;OBJECT ENCODING K;\
LRANGE K 0 -1;LLEN K;LPOS K V;SMEMBERS K;SINTER K K;SUNION K K;SDIFF K K;SINTERCARD 2 K K;SRANDMEMBER K 2;SMISMEMBER K F F;\
HGETALL K;HPTTL K FIELDS 1 F;HRANDFIELD K -3;ZRANGE K 0 -1 WITHSCORES;ZUNION 2 K K;ZINTER 2 K K WITHSCORES;ZDIFF 2 K K;ZINTERCARD 2 K K;\
ZRANDMEMBER K 2;XRANGE K - +;XLEN K;XINFO GROUPS K;XPENDING K g;XREAD COUNT 1 STREAMS K K 0 0;LCS K K;SORT K ALPHA;SORT_RO K BY k* GET k*;\
GEOSEARCH K FROMLONLAT 13 38 BYRADIUS 500 km;TOUCH K K";

/// Where chance decides, one scratch for several commands draws otherwise than a transaction of one shard.
const BY_CHANCE: [&str; 4] = ["SPOP", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"];

const KEYS: u64 = 7;

/// A request by chance; `ids`: what streams may hold.
fn chosen(rng: &mut Rng, ids: &[UnixMillis]) -> String {
    let table = if rng.chance(3, 4) { WRITES } else { READS };
    let requests: Vec<&str> = table.split(';').collect();
    let request = requests[rng.below(requests.len() as u64) as usize];
    // Streams come to something only if they are left alone for a while.
    let of_streams = request.starts_with('X');
    let words = request.split(' ').map(|word| match word {
        "K" if rng.chance(1, 20) => format!("k{}", rng.below(KEYS)),
        "K" if of_streams => format!("k{}", KEYS - 1 - rng.below(2)),
        "K" => format!("k{}", rng.below(KEYS - 2)),
        "V" => format!("{}", rng.below(KEYS)),
        "N" => format!("{}", rng.below(9)),
        "F" => format!("{}", rng.below(5)),
        "T" => format!("{}-0", ids[rng.below(ids.len() as u64) as usize].0),
        word => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What one shard answers, and is left with, if it does all of this at one moment.
fn run_on_one(one: &mut Shards, requests: &[Request], seed: u64) -> Vec<Vec<u8>> {
    let invocations: Vec<Invocation<'_>> = requests.iter().map(Request::invocation).collect();
    if let [invocation] = &invocations[..] {
        return vec![one.apply(GroupId(1), &Op::Command(invocation.clone()), seed_of(seed, 1))];
    }
    let transaction = Transaction { commands: invocations, ..Transaction::default() };
    let outcome = one.apply(GroupId(1), &Op::Transaction(transaction), seed);
    let mut rest = &outcome[1..];
    let mut replies = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (reply, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        replies.push(reply.to_vec());
        rest = behind;
    }
    replies
}

#[test]
fn a_scratch_over_many_shards_does_what_one_shard_does() {
    let mut acts = BTreeSet::new();
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let (mut one, mut many) = (Shards::new(1), Shards::new(1 + rng.below(16) as u32));
        let mut ids = vec![one.now];
        for step in 0..400 {
            let count = if rng.chance(1, 6) { 2 + rng.below(3) } else { 1 };
            let protocol = if rng.chance(1, 2) { Protocol::Resp2 } else { Protocol::Resp3 };
            let mut chosen: Vec<String> = (0..count).map(|_| chosen(&mut rng, &ids)).collect();
            if count > 1 {
                chosen.retain(|words| !BY_CHANCE.iter().any(|name| words.starts_with(name)));
            }
            if chosen.is_empty() {
                continue;
            }
            let requests: Vec<Request> = chosen.iter().map(|words| request(words, protocol)).collect();
            let draw = rng.next_u64();
            let expected = run_on_one(&mut one, &requests, draw);
            let found = many.run(&requests, draw, rng.chance(2, 3));
            let text = |replies: &[Vec<u8>]| {
                replies.iter().map(|reply| String::from_utf8_lossy(reply).into_owned()).collect::<Vec<_>>()
            };
            assert_eq!(text(&found), text(&expected), "{seed} {step}: {chosen:?}");
            assert_eq!(many.told(), one.told(), "{seed} {step}: {chosen:?}");
            for (database, key) in (0..KEYS).flat_map(|key| [(HERE, key), (THERE, key)]) {
                let key = format!("k{key}");
                let (found, expected) =
                    (many.holds(database, key.as_bytes()), one.holds(database, key.as_bytes()));
                assert_eq!(found, expected, "{seed} {step}: {chosen:?}: {key}");
            }
            let later = one.now.plus(if rng.chance(1, 5) { rng.below(2_000) } else { 0 });
            (one.now, many.now) = (later, later);
            if ids.last() != Some(&later) {
                ids.push(later);
                ids.drain(..ids.len().saturating_sub(4));
            }
        }
        many.check();
        acts.append(&mut many.acts);
    }
    let all = "ConsumerPut ConsumerRemove Copy GroupPut GroupRemove HashRemove HashSet HashSetExpiry ListInsert ListRemove ListReplace \
               PendingPut PendingRemove Put PutString Remove Rename SetAdd SetExpiry SetRemove SortedSetPut SortedSetRemove Splice \
               StreamAppend StreamCreate StreamRemove StreamSetInfo StreamTrim Tell";
    assert_eq!(acts.into_iter().collect::<Vec<_>>().join(" "), all, "what chance has brought about");
}

#[test]
fn a_key_that_isn_t_held_is_asked_for_and_never_taken_for_absent() {
    let mut shards = Shards::new(16);
    shards.run(&[request("MSET k1 1 k2 2", Protocol::Resp2)], 1, true);
    let mut scratch = Scratch::new(shards.place(), 1);
    scratch.begin(shards.now).expect("all are values");
    let words: Words<'_> = [&b"RENAMENX"[..], b"k1", b"k2"].into_iter().collect();
    let rename = request("RENAMENX k1 k2", Protocol::Resp2);
    let names = |keys: &[&'static str]| {
        let keys = keys.iter().map(|key| (HERE, Bytes::from_static(key.as_bytes())));
        Err(Halt::Needs(Needs(keys.collect())))
    };
    assert_eq!(words.len(), rename.words.len());
    assert_eq!(scratch.run(&rename.invocation(), false), names(&["k1"]));
    shards.fetch(&mut scratch, &[(HERE, Bytes::from_static(b"k1"), What::Value)]);
    scratch.begin(shards.now).expect("all are values");
    assert_eq!(scratch.run(&rename.invocation(), false), names(&["k2"]));
    shards.fetch(&mut scratch, &[(HERE, Bytes::from_static(b"k2"), What::Shape)]);
    scratch.begin(shards.now).expect("all are values");
    assert_eq!(scratch.run(&rename.invocation(), false), Ok(b":0\r\n".to_vec()));
    assert!(!scratch.has_effects(), "k2 is there");
    // Of which type it is does not say what it holds.
    scratch.begin(shards.now).expect("all are values");
    let get = request("GET k2", Protocol::Resp2);
    assert_eq!(scratch.run(&get.invocation(), false), names(&["k2"]));
}

#[test]
fn what_has_changed_meanwhile_stops_the_effects() {
    let mut shards = Shards::new(16);
    shards.run(&[request("RPUSH k1 a b", Protocol::Resp2)], 1, true);
    let keys = ["k1", "k2"].map(|key| (HERE, Bytes::from(key), What::Value));
    let mut scratch = Scratch::new(shards.place(), 1);
    shards.fetch(&mut scratch, &keys);
    scratch.begin(shards.now).expect("all are values");
    let request = request("LMOVE k1 k2 LEFT LEFT", Protocol::Resp2);
    assert_eq!(scratch.run(&request.invocation(), false), Ok(b"$1\r\na\r\n".to_vec()));
    let shares = scratch.shares();
    assert_eq!(shares.len(), 2, "two shards have a share each");
    let of = |key: &[u8], shards: &Shards| shards.slots.group_of_key(key);
    let (first, second) = (of(b"k1", &shards), of(b"k2", &shards));
    assert_ne!(first, second);
    // The same shard may take another key's change.
    shards.run(&[super::tests::request("SET other{k1} 1", Protocol::Resp2)], 1, true);
    assert_eq!(slot_of(b"other{k1}"), slot_of(b"k1"));
    shards.run(&[super::tests::request("RPUSH k2 x", Protocol::Resp2)], 1, true);
    let before = shards.holds(HERE, b"k2");
    assert_eq!(shards.apply(second, &Op::Transaction(shares[&second].transaction()), 1), [0]);
    assert_eq!(shards.holds(HERE, b"k2"), before);
    assert_eq!(shards.apply(first, &Op::Transaction(shares[&first].transaction()), 1), [1]);
}
