//! Estimates of how many distinct elements were seen, in strings of Redis's own encoding: what one of the two has counted, the other
//! goes on with.
//!
//! Unlike Redis, PFCOUNT never writes what it has computed into the string: it only reads, here too. A cardinality that comes with a
//! string (it was counted elsewhere) is believed until something is added.

use crate::error::Error;
use crate::execute::Context;
use crate::spec::{self, Flags as F, Group, KeyFlags as K, Place, Spec};
use crate::words::is;
use base::database::{EventClass, Expiry};
use encoding::Sketch;

/// The bytes of such a string.
mod encoding;
/// From registers to a number.
mod estimate;

const fn hyperloglog(id: u16, name: &'static str) -> Spec {
    Spec::new(id, name, -2, Group::HyperLogLog, Place::Keys)
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    hyperloglog(720, "pfadd")
        .flags(&[F::WRITE, F::DENYOOM, F::FAST])
        .keys_at(spec::KEY_GROWN)
        .docs("2.8.9", "O(1) for each element", "Counts elements in, each once.")
        .does(pfadd),
    hyperloglog(721, "pfcount")
        .flags(&[F::READONLY])
        .keys_at(&[spec::at(1, -1, 1, &[K::RW, K::ACCESS])])
        .docs(
            "2.8.9",
            "O(N) for N keys",
            "Estimates how many distinct elements were counted in, over all keys.",
        )
        .does(pfcount),
    hyperloglog(722, "pfmerge")
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[
            spec::at(1, 0, 1, &[K::RW, K::ACCESS, K::INSERT]),
            spec::at(2, -1, 1, &[K::RO, K::ACCESS]),
        ])
        .docs("2.8.9", "O(N) for N keys", "Makes a key hold what several have counted together.")
        .does(pfmerge),
    Spec::new(723, "pfdebug", 3, Group::HyperLogLog, Place::Keys)
        .flags(&[F::WRITE, F::DENYOOM, F::ADMIN])
        .keys_at(&[spec::at(2, 0, 1, &[K::RW, K::ACCESS])])
        .docs("2.8.9", "O(N) for N registers", "Shows how a key keeps what it has counted.")
        .does(pfdebug),
    Spec::new(724, "pfselftest", 1, Group::HyperLogLog, Place::Node).flags(&[F::ADMIN]).docs(
        "2.8.9",
        "O(N) for N registers",
        "Tests that estimates are as good as they should be.",
    ),
];

/// What `key` has counted, if it is there.
fn sketch(c: &Context<'_>, key: &[u8]) -> Result<Option<Sketch>, Error> {
    c.db.string(key)?.map(Sketch::read).transpose()
}

fn pfadd(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let before = sketch(c, key)?;
    let mut changed = before.is_none();
    let mut sketch = before.unwrap_or_else(Sketch::empty);
    for element in &c.args[2..] {
        let (register, value) = encoding::place(element);
        changed |= sketch.raise(register, value)?;
    }
    if changed {
        sketch.forget_cardinality();
        c.db.put_string(key, sketch.bytes(), Expiry::Keep);
        c.db.notify(EventClass::String, "pfadd", key);
    }
    c.reply.integer(i64::from(changed));
    Ok(())
}

fn pfcount(c: &mut Context<'_>) -> Result<(), Error> {
    let count = match &c.args[1..] {
        [key] => match sketch(c, key)? {
            None => 0,
            Some(sketch) => match sketch.cardinality() {
                Some(count) => count,
                None => estimate::cardinality(&sketch.registers()?),
            },
        },
        keys => estimate::cardinality(&union(c, keys)?.0),
    };
    c.reply.count(count);
    Ok(())
}

fn pfmerge(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let (registers, any_dense) = union(c, &c.args[1..])?;
    let mut sketch = sketch(c, key)?.unwrap_or_else(Sketch::empty);
    if any_dense {
        sketch.make_dense()?;
    }
    for (register, value) in registers.iter().enumerate() {
        if *value > 0 {
            sketch.raise(register, *value)?;
        }
    }
    sketch.forget_cardinality();
    c.db.put_string(key, sketch.bytes(), Expiry::Keep);
    // Merging is adding many at once, and is told so.
    c.db.notify(EventClass::String, "pfadd", key);
    c.reply.ok();
    Ok(())
}

fn pfdebug(c: &mut Context<'_>) -> Result<(), Error> {
    let (what, key) = (c.args[1], c.args[2]);
    let mut sketch = sketch(c, key)?.ok_or(Error::Other("ERR The specified key does not exist"))?;
    if is(what, "getreg") {
        // Redis changes to the dense form to answer this; it can be answered without.
        let registers = sketch.registers()?;
        c.reply.array(registers.len());
        registers.iter().for_each(|value| c.reply.integer(i64::from(*value)));
    } else if is(what, "decode") {
        let runs = sketch.describe().ok_or(Error::Other("ERR HLL encoding is not sparse"))?;
        c.reply.bulk(runs.as_bytes());
    } else if is(what, "encoding") {
        c.reply.simple(if sketch.is_dense() { "dense" } else { "sparse" });
    } else if is(what, "todense") {
        let changes = !sketch.is_dense();
        if changes {
            sketch.make_dense()?;
            c.db.put_string(key, sketch.bytes(), Expiry::Keep);
        }
        c.reply.integer(i64::from(changes));
    } else {
        return Err(Error::Other(
            "ERR Unknown PFDEBUG subcommand: GETREG, DECODE, ENCODING and TODENSE are known",
        ));
    }
    Ok(())
}

/// What PFSELFTEST tests: registers of both forms keep what they are given, and estimates up to a hundred thousand stay
/// within four standard errors (1.04 over the root of the number of registers).
pub fn self_test() -> Result<(), String> {
    let (mut sparse, mut dense) = (Sketch::empty(), Sketch::empty());
    let failed = |error: Error| error.text().into_owned();
    dense.make_dense().map_err(failed)?;
    let mut model = encoding::NO_REGISTERS;
    let mut checkpoint = 1_u64;
    for number in 1..=100_000_u64 {
        let (register, value) = encoding::place(&number.to_le_bytes());
        model[register] = model[register].max(value);
        sparse.raise(register, value).map_err(failed)?;
        dense.raise(register, value).map_err(failed)?;
        if number != checkpoint {
            continue;
        }
        checkpoint *= 10;
        for (name, sketch) in [("sparse", &sparse), ("dense", &dense)] {
            let registers = sketch.registers().map_err(failed)?;
            if registers != model {
                return Err(format!(
                    "TESTFAILED registers of the {name} form differ after {number} elements"
                ));
            }
            let estimate = estimate::cardinality(&registers);
            let error = estimate.abs_diff(number) as f64;
            let bound = 4.0 * 1.04 / (encoding::REGISTERS as f64).sqrt() * number as f64;
            if error > bound.max(0.5) {
                return Err(format!("TESTFAILED {number} elements are estimated as {estimate}"));
            }
        }
    }
    Ok(())
}

/// The largest value of each register over all keys, and whether a key is dense.
fn union(c: &Context<'_>, keys: &[&[u8]]) -> Result<(encoding::Registers, bool), Error> {
    let mut all = encoding::NO_REGISTERS;
    let mut any_dense = false;
    for key in keys {
        let Some(sketch) = sketch(c, key)? else { continue };
        any_dense |= sketch.is_dense();
        for (max, value) in all.iter_mut().zip(sketch.registers()?.iter()) {
            *max = (*max).max(*value);
        }
    }
    Ok((all, any_dense))
}

#[cfg(test)]
mod tests;
