//! Searching for places around another: GEOSEARCH, and GEORADIUS with its kin, which came before it.

use crate::earth::{Area, Place, Shape};
use crate::error::Error;
use crate::execute::Context;
use crate::families::geo::{geo, place, place_of, reply_distance, reply_place, unit_m};
use crate::families::sorted_ranges::{STORED_FROM, store};
use crate::families::sorted_sets::one_zero;
use crate::spec::{self, Begin, Find, Flags as F, KeyFlags as K, KeySpec, Spec};
use crate::table;
use crate::words::{float, integer, is};
use base::database::{Direction, SortedSet};

/// A key that is overwritten, behind a word.
const fn stored_behind(keyword: &'static str, from: usize) -> KeySpec {
    KeySpec {
        flags: K::OW.with(K::UPDATE),
        begin: Begin::Keyword { keyword, from },
        find: Find::Range { last: 0, step: 1, limit: 0 },
    }
}

const READ: KeySpec = spec::at(1, 0, 1, &[K::RO, K::ACCESS]);
const AROUND_A_PLACE: &[KeySpec] = &[READ, stored_behind("STORE", 6), stored_behind("STOREDIST", 6)];
const AROUND_A_MEMBER: &[KeySpec] = &[READ, stored_behind("STORE", 5), stored_behind("STOREDIST", 5)];

const fn reader(id: u16, name: &'static str, arity: i32) -> Spec {
    geo(id, name, arity).flags(&[F::READONLY]).keys_at(spec::KEY_READ)
}

const fn radius(id: u16, name: &'static str, arity: i32) -> Spec {
    geo(id, name, arity).flags(&[F::WRITE, F::DENYOOM, F::MOVABLEKEYS])
}

const N: &str = "O(N+M*log(M)) for N members in the cells around the area and M in the area";

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    reader(660, "geosearch", -7)
        .docs("6.2.0", N, "Answers the members in a circle or a box.")
        .does(|c| search(c, Form::Search)),
    geo(661, "geosearchstore", -8)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(STORED_FROM)
        .docs("6.2.0", N, "Stores the members in a circle or a box under another key.")
        .does(|c| search(c, Form::SearchStore)),
    radius(662, "georadius", -6)
        .keys_at(AROUND_A_PLACE)
        .docs("3.2.0", N, "Answers or stores the members around a place.")
        .does(|c| search(c, Form::AroundPlace { may_store: true })),
    reader(663, "georadius_ro", -6)
        .docs("3.2.10", N, "Answers the members around a place.")
        .does(|c| search(c, Form::AroundPlace { may_store: false })),
    radius(664, "georadiusbymember", -5)
        .keys_at(AROUND_A_MEMBER)
        .docs("3.2.0", N, "Answers or stores the members around one of them.")
        .does(|c| search(c, Form::AroundMember { may_store: true })),
    reader(665, "georadiusbymember_ro", -5)
        .docs("3.2.10", N, "Answers the members around one of them.")
        .does(|c| search(c, Form::AroundMember { may_store: false })),
];

/// In which order a command's words come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Search,
    SearchStore,
    AroundPlace { may_store: bool },
    AroundMember { may_store: bool },
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(self, Form::AroundPlace { may_store: true } | Form::AroundMember { may_store: true })
    }
}

/// What the words say.
#[derive(Default)]
struct Request {
    center: Option<Place>,
    /// FROMMEMBER was said, though there may be no such key.
    from_member: bool,
    shape: Option<Shape>,
    /// Meters of the unit that was given last.
    unit_m: f64,
    with_distance: bool,
    with_score: bool,
    with_place: bool,
    /// ASC and DESC.
    order: Option<Direction>,
    /// COUNT.
    count: Option<usize>,
    /// ANY: the first that are found, not the nearest.
    any: bool,
    /// Which word is the key that is stored to.
    target: Option<usize>,
    /// STOREDIST: the scores are distances.
    store_distance: bool,
}

/// Reads a size that isn't negative.
fn size(word: &[u8], no_number: &'static str, negative: &'static str) -> Result<f64, Error> {
    let size = float(word).ok_or(Error::Other(no_number))?;
    if size < 0.0 { Err(Error::Other(negative)) } else { Ok(size) }
}

impl Request {
    fn circle(&mut self, radius: &[u8], unit: &[u8]) -> Result<(), Error> {
        let radius = size(radius, "ERR need numeric radius", "ERR radius cannot be negative")?;
        self.unit_m = unit_m(unit)?;
        self.shape = Some(Shape::Circle { radius_m: radius * self.unit_m });
        Ok(())
    }

    fn rectangle(&mut self, width: &[u8], height: &[u8], unit: &[u8]) -> Result<(), Error> {
        let negative = "ERR height or width cannot be negative";
        let (w, h) = (float(width), float(height));
        let w = w.ok_or(Error::Other("ERR need numeric width"))?;
        let h = h.ok_or(Error::Other("ERR need numeric height"))?;
        if w < 0.0 || h < 0.0 {
            return Err(Error::Other(negative));
        }
        self.unit_m = unit_m(unit)?;
        self.shape = Some(Shape::Box { width_m: w * self.unit_m, height_m: h * self.unit_m });
        Ok(())
    }

    fn around(&mut self, set: Option<&dyn SortedSet>, member: &[u8]) -> Result<(), Error> {
        self.from_member = true;
        if set.is_some() {
            let place = place_of(set, member);
            self.center = Some(place.ok_or(Error::Other("ERR could not decode requested zset member"))?);
        }
        Ok(())
    }

    /// Reads all words. Where the key isn't there, the words are checked all the same, as far as that goes.
    fn parse(form: Form, args: &[&[u8]], set: Option<&dyn SortedSet>) -> Result<Self, Error> {
        let mut all = Self { unit_m: 1.0, ..Self::default() };
        let mut at = match form {
            Form::Search => 2,
            Form::SearchStore => {
                all.target = Some(1);
                3
            }
            Form::AroundPlace { .. } => {
                all.center = Some(place(args[2], args[3])?);
                all.circle(args[4], args[5])?;
                6
            }
            Form::AroundMember { .. } => {
                if set.is_some() {
                    all.around(set, args[2])?;
                    all.circle(args[3], args[4])?;
                }
                5
            }
        };
        while at < args.len() {
            at += match all.take_plain(form, &args[at..], at)? {
                0 if form.is_search() => all.take_shape(&args[at..], set)?,
                0 => return Err(Error::Syntax),
                taken => taken,
            };
        }
        all.check(form, args)?;
        Ok(all)
    }

    /// Reads an option that all commands have off the front of `words`; how many words it took, none if it is none.
    fn take_plain(&mut self, form: Form, words: &[&[u8]], at: usize) -> Result<usize, Error> {
        let word = words[0];
        let flags = [
            ("withdist", &mut self.with_distance),
            ("withhash", &mut self.with_score),
            ("withcoord", &mut self.with_place),
            ("any", &mut self.any),
        ];
        if let Some((_, flag)) = flags.into_iter().find(|(name, _)| is(word, name)) {
            *flag = true;
            return Ok(1);
        }
        if is(word, "asc") || is(word, "desc") {
            self.order = Some(if is(word, "asc") { Direction::Forward } else { Direction::Backward });
            return Ok(1);
        }
        if form == Form::SearchStore && is(word, "storedist") {
            self.store_distance = true;
            return Ok(1);
        }
        let Some(value) = words.get(1) else { return Ok(0) };
        if is(word, "count") {
            let count = integer(value)?;
            if count <= 0 {
                return Err(Error::Other("ERR COUNT must be > 0"));
            }
            self.count = Some(usize::try_from(count).unwrap_or(usize::MAX));
            return Ok(2);
        }
        if form.may_store() && (is(word, "store") || is(word, "storedist")) {
            self.target = Some(at + 1);
            self.store_distance = is(word, "storedist");
            return Ok(2);
        }
        Ok(0)
    }

    /// Reads a center or a shape of GEOSEARCH off the front of `words`; how many words it took.
    fn take_shape(&mut self, words: &[&[u8]], set: Option<&dyn SortedSet>) -> Result<usize, Error> {
        let from_place = self.center.is_some() && !self.from_member;
        match words {
            [word, member, ..] if is(word, "frommember") && !from_place => {
                self.around(set, member)?;
                Ok(2)
            }
            [word, longitude, latitude, ..] if is(word, "fromlonlat") && !self.from_member => {
                self.center = Some(place(longitude, latitude)?);
                Ok(3)
            }
            [word, radius, unit, ..]
                if is(word, "byradius") && !matches!(self.shape, Some(Shape::Box { .. })) =>
            {
                self.circle(radius, unit)?;
                Ok(3)
            }
            [word, width, height, unit, ..]
                if is(word, "bybox") && !matches!(self.shape, Some(Shape::Circle { .. })) =>
            {
                self.rectangle(width, height, unit)?;
                Ok(4)
            }
            _ => Err(Error::Syntax),
        }
    }

    fn check(&self, form: Form, args: &[&[u8]]) -> Result<(), Error> {
        if self.target.is_some() && (self.with_distance || self.with_score || self.with_place) {
            return Err(Error::Other(if form == Form::SearchStore {
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            }));
        }
        let missing = match form {
            _ if !form.is_search() => None,
            _ if self.center.is_none() && !self.from_member => Some("FROMMEMBER or FROMLONLAT"),
            _ if self.shape.is_none() => Some("BYRADIUS and BYBOX"),
            _ => None,
        };
        if let Some(options) = missing {
            let name = String::from_utf8_lossy(args[0]);
            let text = format!("ERR exactly one of {options} can be specified for {name}");
            return Err(Error::Shown(text.into()));
        }
        if self.any && self.count.is_none() {
            return Err(Error::Other("ERR the ANY argument requires COUNT argument"));
        }
        // The command came here by the keys that the table finds. Options may be repeated, or name a key like an option,
        // so that the table finds another: such a request is refused rather than run where its key isn't.
        let found = |index| {
            let spec = table::lookup(args[0]);
            spec.is_some_and(|spec| spec.key_places(args).iter().any(|place| place.index == index))
        };
        if self.target.is_none_or(found) { Ok(()) } else { Err(Error::Syntax) }
    }
}

/// A member in the area.
struct Found {
    member: Vec<u8>,
    score: f64,
    place: Place,
    distance_m: f64,
}

/// Finds the members in the area, in the order and number that were asked for.
fn find(set: &dyn SortedSet, area: &Area, request: &Request) -> Vec<Found> {
    let enough = if request.any { request.count.unwrap_or(usize::MAX) } else { usize::MAX };
    let mut all = Vec::new();
    for scores in area.scores() {
        if all.len() >= enough {
            break;
        }
        set.walk(set.count_below(scores.start, false), Direction::Forward, &mut |member, score| {
            if score >= scores.end {
                return false;
            }
            let place = Place::of_score(score);
            if let Some(distance_m) = area.distance_m(place) {
                all.push(Found { member: member.to_vec(), score, place, distance_m });
            }
            all.len() < enough
        });
    }
    // A count without an order means the nearest.
    let order = request.order.or((request.count.is_some() && !request.any).then_some(Direction::Forward));
    match order {
        Some(Direction::Forward) => all.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m)),
        Some(Direction::Backward) => all.sort_by(|a, b| b.distance_m.total_cmp(&a.distance_m)),
        None => {}
    }
    all.truncate(request.count.unwrap_or(usize::MAX));
    all
}

fn search(c: &mut Context<'_>, form: Form) -> Result<(), Error> {
    let source = c.args[if form == Form::SearchStore { 2 } else { 1 }];
    let set = c.db.sorted_set(source)?;
    let request = Request::parse(form, c.args, set)?;
    let found = match (set, request.center, request.shape) {
        (Some(set), Some(center), Some(shape)) => find(set, &Area { center, shape }, &request),
        _ => Vec::new(),
    };
    let Some(target) = request.target else {
        reply(c, &request, &found);
        return Ok(());
    };
    let members: Vec<_> = found
        .into_iter()
        .map(|found| {
            let score = if request.store_distance { found.distance_m / request.unit_m } else { found.score };
            (found.member, one_zero(score))
        })
        .collect();
    store(c, c.args[target], &members, if form.is_search() { "geosearchstore" } else { "georadiusstore" })
}

fn reply(c: &mut Context<'_>, request: &Request, found: &[Found]) {
    let extras = [request.with_distance, request.with_score, request.with_place];
    let extras = extras.into_iter().filter(|extra| *extra).count();
    c.reply.array(found.len());
    for found in found {
        if extras > 0 {
            c.reply.array(1 + extras);
        }
        c.reply.bulk(&found.member);
        if request.with_distance {
            reply_distance(&mut c.reply, found.distance_m / request.unit_m);
        }
        if request.with_score {
            c.reply.integer(found.score as i64);
        }
        if request.with_place {
            reply_place(&mut c.reply, found.place);
        }
    }
}

#[cfg(test)]
mod tests;
