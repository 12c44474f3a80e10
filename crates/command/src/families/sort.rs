//! SORT: the elements of a list, a set or a sorted set in another order, or what other keys say about them.
//!
//! BY and GET name keys by patterns, in which `*` stands for an element. Nobody knows these keys before the command runs, and it
//! reads none but those of its own shard: the gateway refuses patterns whose keys may lie elsewhere.

use crate::error::Error;
use crate::execute::{Context, check_length};
use crate::spec::{self, Begin, Categories, Flags as F, Group, KeyFlags as K, KeySpec, Keys, Place, Spec};
use crate::words::{float, integer, is};
use base::database::{Database, EventClass, Kind, List, Set, SortedSet};
use std::cmp::Ordering;

const fn sort(id: u16, name: &'static str, keys: &'static [KeySpec]) -> Spec {
    Spec::new(id, name, -2, Group::Generic, Place::Keys)
        .keys_at(keys)
        .category(Categories::SET)
        .category(Categories::SORTED_SET)
        .category(Categories::LIST)
        .category(Categories::DANGEROUS)
}

const SORTED: KeySpec = spec::at(1, 0, 1, &[K::RO, K::ACCESS]);
const READ_BY_PATTERN: KeySpec = KeySpec { begin: Begin::Unknown, ..SORTED };
const STORED: KeySpec = KeySpec { begin: Begin::Unknown, ..spec::at(1, 0, 1, &[K::OW, K::UPDATE]) };

const COMPLEXITY: &str = "O(N+M*log(M)) for N elements of which M are sorted";

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    sort(568, "sort", &[SORTED, READ_BY_PATTERN, STORED])
        .flags(&[F::WRITE, F::DENYOOM, F::MOVABLEKEYS])
        .docs("1.0.0", COMPLEXITY, "Sorts a list, a set or a sorted set, and perhaps stores what comes out.")
        .does(|c| run(c, true)),
    sort(569, "sort_ro", &[SORTED, READ_BY_PATTERN])
        .flags(&[F::READONLY, F::MOVABLEKEYS])
        .docs("7.0.0", COMPLEXITY, "Sorts a list, a set or a sorted set.")
        .does(|c| run(c, false)),
];

/// The words of SORT.
struct Ask<'a> {
    /// BY: what is compared instead of the elements.
    by: Option<&'a [u8]>,
    /// GET: what is answered instead of the elements.
    get: Vec<&'a [u8]>,
    /// LIMIT: how many of the results are passed over.
    offset: usize,
    /// LIMIT: how many are answered then.
    count: usize,
    descending: bool,
    /// ALPHA: bytes are compared, and not numbers.
    alpha: bool,
    /// STORE: the word that says where the results go.
    store: Option<usize>,
}

impl<'a> Ask<'a> {
    fn parse(args: &[&'a [u8]], may_store: bool) -> Result<Self, Error> {
        let mut ask = Self {
            by: None,
            get: Vec::new(),
            offset: 0,
            count: usize::MAX,
            descending: false,
            alpha: false,
            store: None,
        };
        let mut at = 2;
        while let Some(option) = args.get(at) {
            at += 1;
            let values = args.len() - at;
            if is(option, "asc") {
                ask.descending = false;
            } else if is(option, "desc") {
                ask.descending = true;
            } else if is(option, "alpha") {
                ask.alpha = true;
            } else if is(option, "limit") && values >= 2 {
                ask.offset = usize::try_from(integer(args[at])?).unwrap_or(0);
                ask.count = usize::try_from(integer(args[at + 1])?).unwrap_or(usize::MAX);
                at += 2;
            } else if is(option, "store") && values >= 1 && may_store {
                ask.store = Some(at);
                at += 1;
            } else if is(option, "by") && values >= 1 {
                ask.by = Some(args[at]);
                at += 1;
            } else if is(option, "get") && values >= 1 {
                ask.get.push(args[at]);
                at += 1;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(ask)
    }

    /// Whether anything is sorted: a BY that is the same for all elements says that nothing is.
    fn sorts(&self) -> bool {
        self.by.is_none_or(|pattern| pattern.contains(&b'*'))
    }
}

/// The word after STORE, which is a key.
pub(crate) fn stored(args: &[&[u8]]) -> Option<usize> {
    Ask::parse(args, true).ok()?.store
}

/// The patterns of BY and GET by which other keys are read.
pub(crate) fn patterns<'a>(args: &[&'a [u8]]) -> Keys<'a> {
    let Ok(ask) = Ask::parse(args, true) else { return Keys::new() };
    ask.by.into_iter().chain(ask.get).filter(|pattern| pattern.contains(&b'*')).collect()
}

/// The option, BY or GET, by which a request reads other keys than it names; `None` also if the words make no sense.
pub(crate) fn option_that_reads(args: &[&[u8]]) -> Option<&'static str> {
    let ask = Ask::parse(args, true).ok()?;
    if ask.by.is_some_and(|pattern| pattern.contains(&b'*')) {
        return Some("BY");
    }
    // Even `#` and what has no `*`, as in Redis.
    (!ask.get.is_empty()).then_some("GET")
}

/// What is read for `element`: itself for `#`, else the string under the key that the pattern makes with it, or the field of the
/// hash under it. A pattern without `*` reads nothing.
fn look_up<'a>(db: &'a dyn Database, pattern: &[u8], element: &'a [u8]) -> Option<&'a [u8]> {
    if pattern == b"#" {
        return Some(element);
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, behind) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = behind.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < behind.len());
    let (behind, field) = match arrow {
        Some(at) => (&behind[..at], Some(&behind[at + 2..])),
        None => (behind, None),
    };
    let key = [before, element, behind].concat();
    // Another type is nothing here.
    match field {
        Some(field) => db.hash(&key).ok()??.get(field, db.now()),
        None => db.string(&key).ok()?,
    }
}

/// A number as C reads it: nothing is zero, and blanks may stand before.
fn number(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let first = text.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b)?;
    float(&text[first..])
}

const NOT_NUMBERS: Error = Error::Other("ERR One or more scores can't be converted into double");

/// What is sorted.
#[derive(Clone, Copy)]
enum Source<'a> {
    Nothing,
    List(&'a dyn List),
    Set(&'a dyn Set),
    SortedSet(&'a dyn SortedSet),
}

impl<'a> Source<'a> {
    fn new(db: &'a dyn Database, key: &[u8]) -> Result<Self, Error> {
        Ok(match db.kind(key) {
            Some(Kind::List) => db.list(key)?.map_or(Source::Nothing, Source::List),
            Some(Kind::Set) => db.set(key)?.map_or(Source::Nothing, Source::Set),
            Some(Kind::SortedSet) => db.sorted_set(key)?.map_or(Source::Nothing, Source::SortedSet),
            Some(_) => return Err(Error::WrongType),
            None => Source::Nothing,
        })
    }

    fn len(self) -> usize {
        match self {
            Source::Nothing => 0,
            Source::List(list) => list.len(),
            Source::Set(set) => set.len(),
            Source::SortedSet(set) => set.len(),
        }
    }

    fn get(self, index: usize) -> Option<&'a [u8]> {
        match self {
            Source::Nothing => None,
            Source::List(list) => list.get(index),
            Source::Set(set) => set.get(index),
            Source::SortedSet(set) => set.at(index).map(|(member, _)| member),
        }
    }
}

/// Sorts by bytes: the elements' own, or what a pattern reads for each, nothing before everything.
fn sort_by_bytes(db: &dyn Database, elements: &mut [&[u8]], by: Option<&[u8]>, descending: bool) {
    match by {
        None => elements.sort_unstable_by(|a, b| directed(a.cmp(b), descending)),
        Some(by) => {
            let mut keyed: Vec<_> =
                elements.iter().map(|element| (look_up(db, by, element), *element)).collect();
            keyed.sort_by(|(a, _), (b, _)| directed(a.cmp(b), descending));
            keyed.iter().zip(elements).for_each(|((_, element), place)| *place = element);
        }
    }
}

/// Sorts by numbers: the elements' own, or what a pattern reads for each, zero if that is nothing. Equal numbers go by the
/// elements' bytes.
fn sort_by_number(
    db: &dyn Database,
    elements: &mut [&[u8]],
    by: Option<&[u8]>,
    descending: bool,
) -> Result<(), Error> {
    let score = |element: &[u8]| match by {
        None => number(element),
        Some(by) => look_up(db, by, element).map_or(Some(0.0), number),
    };
    let scored: Option<Vec<_>> = elements.iter().map(|element| Some((score(element)?, *element))).collect();
    let mut scored = scored.ok_or(NOT_NUMBERS)?;
    scored.sort_by(|(a, left), (b, right)| {
        let order = a.partial_cmp(b).unwrap_or(Ordering::Equal);
        directed(order.then_with(|| left.cmp(right)), descending)
    });
    scored.iter().zip(elements).for_each(|((_, element), place)| *place = element);
    Ok(())
}

fn directed(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}

/// The elements that the command answers or stores, in their order.
fn results<'a>(db: &'a dyn Database, key: &[u8], ask: &Ask<'_>) -> Result<Vec<&'a [u8]>, Error> {
    let source = Source::new(db, key)?;
    let length = source.len();
    let first = ask.offset.min(length);
    let window = first..first.saturating_add(ask.count).min(length);
    // What is stored is in an order that says something, which a set's own does not.
    let is_unordered = matches!(source, Source::Set(_)) && ask.store.is_some() && !ask.sorts();
    if !ask.sorts() && !is_unordered {
        let backward = ask.descending && matches!(source, Source::SortedSet(_));
        let index = |at: usize| if backward { length - 1 - at } else { at };
        return Ok(window.filter_map(|at| source.get(index(at))).collect());
    }
    let mut elements: Vec<&[u8]> = (0..length).filter_map(|at| source.get(at)).collect();
    if is_unordered {
        sort_by_bytes(db, &mut elements, None, ask.descending);
    } else if ask.alpha {
        sort_by_bytes(db, &mut elements, ask.by, ask.descending);
    } else {
        sort_by_number(db, &mut elements, ask.by, ask.descending)?;
    }
    elements.truncate(window.end);
    Ok(elements.split_off(window.start))
}

fn run(c: &mut Context<'_>, may_store: bool) -> Result<(), Error> {
    let ask = Ask::parse(c.args, may_store)?;
    let db: &dyn Database = c.db;
    let elements = results(db, c.args[1], &ask)?;
    let get = if ask.get.is_empty() { &[&b"#"[..]] } else { &ask.get[..] };
    let found = elements.iter().flat_map(|element| get.iter().map(|pattern| look_up(db, pattern, element)));
    match ask.store {
        None => {
            let start = c.reply.position();
            c.reply.array(elements.len() * get.len());
            for value in found {
                c.reply.bulk_or_null(value);
                check_length(c.reply.position() - start)?;
            }
            Ok(())
        }
        Some(target) => {
            let mut bytes = 0;
            let mut values = Vec::new();
            for value in found {
                let value = value.unwrap_or_default();
                bytes += value.len();
                check_length(bytes)?;
                values.push(value.to_vec());
            }
            store(c, c.args[target], &values)
        }
    }
}

/// Makes `target` the list of these values, whatever it held; nothing if there are none.
fn store(c: &mut Context<'_>, target: &[u8], values: &[Vec<u8>]) -> Result<(), Error> {
    let values: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
    let replaced = c.db.remove(target);
    if !values.is_empty() {
        c.db.list_insert(target, 0, &values)?;
        c.db.notify(EventClass::List, "sortstore", target);
    } else if replaced {
        c.db.notify(EventClass::Generic, "del", target);
    }
    c.reply.count(values.len() as u64);
    Ok(())
}

#[cfg(test)]
mod tests;
