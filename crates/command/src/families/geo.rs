//! Places: members of sorted sets whose scores say where they are. Searching around one stands in
//! `geo_search`.

use crate::earth::Place;
use crate::error::Error;
use crate::execute::Context;
use crate::families::sorted_sets::{AddOptions, add};
use crate::spec::{self, Flags as F, Group, Place as At, Spec};
use crate::words::{float, is};
use base::database::SortedSet;
use resp::{Protocol, Writer};

pub(crate) const fn geo(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Geo, At::Keys)
}

const fn reader(id: u16, name: &'static str, arity: i32) -> Spec {
    geo(id, name, arity).flags(&[F::READONLY]).keys_at(spec::KEY_READ)
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    geo(656, "geoadd", -5)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs(
            "3.2.0",
            "O(M*log(N)) for M members into N",
            "Gives members of a sorted set places on the earth.",
        )
        .does(geoadd),
    reader(657, "geopos", -2)
        .docs("3.2.0", "O(N) for N members asked for", "Answers where members are.")
        .does(geopos),
    reader(658, "geodist", -4).docs("3.2.0", "O(1)", "Answers how far two members are apart.").does(geodist),
    reader(659, "geohash", -2)
        .docs("3.2.0", "O(N) for N members asked for", "Answers where members are, as geohashes.")
        .does(geohash),
];

/// Reads a longitude and a latitude.
pub(crate) fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Error> {
    let longitude = float(longitude).ok_or(Error::NotAFloat)?;
    let latitude = float(latitude).ok_or(Error::NotAFloat)?;
    let place = Place { longitude, latitude };
    if place.is_on_the_map() {
        Ok(place)
    } else {
        let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
        Err(Error::Shown(text.into()))
    }
}

/// Reads a unit: how many meters it has.
pub(crate) fn unit_m(word: &[u8]) -> Result<f64, Error> {
    let units = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let unit = units.into_iter().find(|(name, _)| is(word, name));
    unit.map(|(_, meters)| meters)
        .ok_or(Error::Other("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Answers a distance, with four decimals.
pub(crate) fn reply_distance(reply: &mut Writer<'_>, distance: f64) {
    reply.text(&format!("{distance:.4}"));
}

/// Answers a place: two doubles with as many of 17 decimals as aren't zeros at the end.
pub(crate) fn reply_place(reply: &mut Writer<'_>, place: Place) {
    reply.array(2);
    for degrees in [place.longitude, place.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let text = if text == "-0" { "0" } else { text };
        match reply.protocol() {
            Protocol::Resp2 => reply.text(text),
            Protocol::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
        }
    }
}

fn geoadd(c: &mut Context<'_>) -> Result<(), Error> {
    let (mut options, mut rest) = (AddOptions::default(), &c.args[2..]);
    while let [word, tail @ ..] = rest {
        let option = if is(word, "nx") {
            &mut options.new
        } else if is(word, "xx") {
            &mut options.there
        } else if is(word, "ch") {
            &mut options.changed
        } else {
            break;
        };
        *option = true;
        rest = tail;
    }
    let (triples, odd) = rest.as_chunks::<3>();
    if triples.is_empty() || !odd.is_empty() || options.new && options.there {
        return Err(Error::Syntax);
    }
    let mut members = Vec::with_capacity(triples.len());
    for [longitude, latitude, member] in triples {
        members.push((*member, place(longitude, latitude)?.score()));
    }
    add(c, options, &members)
}

/// Where a member is.
pub(crate) fn place_of(set: Option<&dyn SortedSet>, member: &[u8]) -> Option<Place> {
    set.and_then(|set| set.score(member)).map(Place::of_score)
}

fn geopos(c: &mut Context<'_>) -> Result<(), Error> {
    let set = c.db.sorted_set(c.args[1])?;
    c.reply.array(c.args.len() - 2);
    for member in &c.args[2..] {
        match place_of(set, member) {
            Some(place) => reply_place(&mut c.reply, place),
            None => c.reply.null_array(),
        }
    }
    Ok(())
}

fn geohash(c: &mut Context<'_>) -> Result<(), Error> {
    let set = c.db.sorted_set(c.args[1])?;
    c.reply.array(c.args.len() - 2);
    for member in &c.args[2..] {
        let text = place_of(set, member).map(Place::geohash);
        c.reply.bulk_or_null(text.as_ref().map(|text| &text[..]));
    }
    Ok(())
}

fn geodist(c: &mut Context<'_>) -> Result<(), Error> {
    let unit_m = match &c.args[4..] {
        [] => 1.0,
        [unit] => unit_m(unit)?,
        _ => return Err(Error::Syntax),
    };
    let set = c.db.sorted_set(c.args[1])?;
    match (place_of(set, c.args[2]), place_of(set, c.args[3])) {
        (Some(from), Some(to)) => reply_distance(&mut c.reply, from.distance_m(to) / unit_m),
        _ => c.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
