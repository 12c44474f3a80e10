//! A database of maps: the plainest thing that keeps what `Database` says, for tests of commands.

use crate::execute::{Context, run};
use base::database::{BadDump, Database, EventClass, Expiry, Facts, KeyUsage, Kind, ScanPosition, WrongType};
use base::{DatabaseId, Rng, Slot, UnixMillis};
use bytes::Bytes;
use resp::{Protocol, Writer};
use std::collections::BTreeMap;
use values::{HashValue, ListValue, SetValue, SortedSetValue, StreamValue};

/// The types other than strings, as plainly.
mod values;

/// The database that tests run on, and the other one.
pub(crate) const HERE: DatabaseId = DatabaseId(10);
pub(crate) const THERE: DatabaseId = DatabaseId(11);

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    value: Value,
    until: Option<UnixMillis>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    String(Vec<u8>),
    List(ListValue),
    Set(SetValue),
    Hash(HashValue),
    SortedSet(SortedSetValue),
    Stream(StreamValue),
}

impl Value {
    fn kind(&self) -> Kind {
        match self {
            Value::String(_) => Kind::String,
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
            Value::Hash(_) => Kind::Hash,
            Value::SortedSet(_) => Kind::SortedSet,
            Value::Stream(_) => Kind::Stream,
        }
    }
}

type Entries = BTreeMap<Vec<u8>, Entry>;

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) now: UnixMillis,
    here: Entries,
    there: Entries,
    position: fn(&[u8]) -> ScanPosition,
    /// What commands have told: event and key.
    pub(crate) events: Vec<(&'static str, Vec<u8>)>,
    /// The same of the other database.
    pub(crate) events_there: Vec<(&'static str, Vec<u8>)>,
}

/// FNV-1a, with the slot from its low bits.
pub(crate) fn spread(key: &[u8]) -> ScanPosition {
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    ScanPosition { slot: Slot::of_hash(hash as u16), hash: hash.swap_bytes() }
}

impl Model {
    pub(crate) fn new() -> Self {
        Self::with_positions(spread)
    }

    pub(crate) fn with_positions(position: fn(&[u8]) -> ScanPosition) -> Self {
        let now = UnixMillis(1_700_000_000_000);
        Self {
            now,
            here: Entries::new(),
            there: Entries::new(),
            position,
            events: Vec::new(),
            events_there: Vec::new(),
        }
    }

    /// A value that is no string.
    pub(crate) fn put_list(&mut self, key: &[u8]) {
        let value = Value::List(ListValue(vec![b"element".to_vec()]));
        self.here.insert(key.to_vec(), Entry { value, until: None });
    }

    fn live<'a>(&self, entries: &'a Entries, key: &[u8]) -> Option<&'a Entry> {
        entries.get(key).filter(|entry| entry.until.is_none_or(|until| until > self.now))
    }

    fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.live(&self.here, key)
    }

    /// The value under `key`.
    fn value(&self, key: &[u8]) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value under `key`, which becomes `empty` if there is none.
    fn value_or(&mut self, key: &[u8], empty: Value) -> &mut Value {
        if self.entry(key).is_none() {
            self.here.insert(key.to_vec(), Entry { value: empty, until: None });
        }
        &mut self.here.get_mut(key).expect("it is there").value
    }

    fn entries(&mut self, database: DatabaseId) -> &mut Entries {
        match database {
            HERE => &mut self.here,
            _ => &mut self.there,
        }
    }

    /// Runs a request as a gateway and a shard would, and answers its reply.
    pub(crate) fn request(&mut self, protocol: Protocol, args: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Writer::new(&mut out, protocol);
        let spec = match crate::resolve(args) {
            Ok(spec) => spec,
            Err(error) => {
                reply.error(error);
                return out;
            }
        };
        let target = match spec.target(args) {
            Ok(index) => index.map(|index| if index.0 == 0 { HERE } else { THERE }),
            Err(error) => {
                reply.error(error);
                return out;
            }
        };
        let mut context =
            Context { db: self, database: HERE, target, args, reply, seed: 7, has_waited: false };
        // The reply says whether it was carried out.
        let _ = run(spec, &mut context);
        out
    }

    /// The same, from words between spaces to printable text.
    pub(crate) fn ask(&mut self, request: &str) -> String {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        String::from_utf8_lossy(&self.request(Protocol::Resp2, &args))
            .replace("\r\n", " ")
            .trim_end()
            .to_owned()
    }

    /// What was told since this was asked last, as `event key`; of the other database with `there:` before it.
    pub(crate) fn told(&mut self) -> Vec<String> {
        let text = |(event, key): (&str, Vec<u8>)| format!("{event} {}", String::from_utf8_lossy(&key));
        let here = std::mem::take(&mut self.events).into_iter().map(text);
        let there = std::mem::take(&mut self.events_there).into_iter().map(text);
        here.chain(there.map(|told| format!("there:{told}"))).collect()
    }

    /// Asks each request in turn, and looks at what was told of it.
    pub(crate) fn tells(&mut self, conversation: &[(&str, &[&str])]) {
        for (request, events) in conversation {
            let answer = self.ask(request);
            assert_eq!(self.told(), *events, "{request}: {answer}");
        }
    }

    /// Asks each request in turn and compares the answers.
    pub(crate) fn says(&mut self, conversation: &[(&str, &str)]) {
        for (request, answer) in conversation {
            assert_eq!(self.ask(request), *answer, "{request}");
        }
    }
}

impl Database for Model {
    fn now(&self) -> UnixMillis {
        self.now
    }

    fn kind(&self, key: &[u8]) -> Option<Kind> {
        self.value(key).map(Value::kind)
    }

    fn string(&self, key: &[u8]) -> Result<Option<&[u8]>, WrongType> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(string)) => Ok(Some(string)),
            Some(_) => Err(WrongType),
        }
    }

    fn expires_at(&self, key: &[u8]) -> Option<Option<UnixMillis>> {
        self.entry(key).map(|entry| entry.until)
    }

    fn facts(&self, key: &[u8]) -> Option<Facts> {
        let kind = self.kind(key)?;
        let usage = Some(KeyUsage { idle_ms: 2500, frequency: None });
        Some(Facts { kind, encoding: "raw", memory_bytes: 56, usage, revision: 1 })
    }

    fn len(&self) -> u64 {
        self.here.keys().filter(|key| self.entry(key).is_some()).count() as u64
    }

    fn pick(&self, seed: u64) -> Option<Vec<u8>> {
        let keys: Vec<_> = self.here.keys().filter(|key| self.entry(key).is_some()).collect();
        Rng::new(seed).pick(&keys).map(|key| key.to_vec())
    }

    fn scan(
        &self,
        from: ScanPosition,
        limit: usize,
        visit: &mut dyn FnMut(&[u8], Kind),
    ) -> Option<ScanPosition> {
        let mut keys: Vec<_> = self.here.keys().map(|key| ((self.position)(key), key)).collect();
        keys.sort();
        let mut left = keys.into_iter().filter(|(at, _)| *at >= from).peekable();
        let mut visited = 0;
        let mut last = None;
        while let Some((at, key)) = left.next_if(|(at, _)| visited < limit || last == Some(*at)) {
            if let Some(kind) = self.kind(key) {
                visit(key, kind);
            }
            visited += 1;
            last = Some(at);
        }
        left.peek().map(|(at, _)| *at)
    }

    fn dump(&self, key: &[u8]) -> Option<Bytes> {
        Some(match self.value(key)? {
            Value::String(string) => [b"dump:", &string[..]].concat().into(),
            _ => "list".into(),
        })
    }

    fn put_string(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        let until = match expiry {
            Expiry::Keep => self.expires_at(key).flatten(),
            Expiry::Clear => None,
            Expiry::At(until) => Some(until),
        };
        self.here.insert(key.to_vec(), Entry { value: Value::String(value.to_vec()), until });
    }

    fn splice_string(&mut self, key: &[u8], offset: usize, part: &[u8]) -> Result<usize, WrongType> {
        let mut value = self.string(key)?.unwrap_or_default().to_vec();
        value.resize(value.len().max(offset + part.len()), 0);
        value[offset..offset + part.len()].copy_from_slice(part);
        self.put_string(key, &value, Expiry::Keep);
        Ok(value.len())
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let there = self.entry(key).is_some();
        self.here.remove(key);
        there
    }

    fn set_expiry(&mut self, key: &[u8], at: Option<UnixMillis>) -> bool {
        let Some(mut entry) = self.entry(key).cloned() else { return false };
        entry.until = at;
        self.here.insert(key.to_vec(), entry);
        if at.is_some_and(|at| at <= self.now) {
            self.here.remove(key);
        }
        true
    }

    fn set_usage(&mut self, _key: &[u8], _idle_ms: Option<u64>, _frequency: Option<u8>) {}

    fn touch(&mut self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> bool {
        self.copy(from, HERE, to) && self.remove(from)
    }

    fn copy(&mut self, from: &[u8], into: DatabaseId, to: &[u8]) -> bool {
        let Some(entry) = self.entry(from).cloned() else { return false };
        self.entries(into).insert(to.to_vec(), entry);
        true
    }

    fn exists_in(&self, database: DatabaseId, key: &[u8]) -> bool {
        let entries = if database == HERE { &self.here } else { &self.there };
        self.live(entries, key).is_some()
    }

    fn restore(&mut self, key: &[u8], dump: &[u8], expiry: Expiry) -> Result<(), BadDump> {
        assert!(self.entry(key).is_none(), "the key must not hold anything");
        match dump.strip_prefix(b"dump:") {
            Some(value) => self.put_string(key, value, expiry),
            None if dump == b"list" => self.put_list(key),
            None => return Err(BadDump),
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.here.clear();
    }

    fn notify(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        self.notify_in(HERE, class, event, key);
    }

    fn notify_in(&mut self, database: DatabaseId, _class: EventClass, event: &'static str, key: &[u8]) {
        match database {
            HERE => self.events.push((event, key.to_vec())),
            _ => self.events_there.push((event, key.to_vec())),
        }
    }
}
