//! Estimates of how many distinct elements were seen, in strings of Redis's own encoding: what one of the two has counted, the other
//! goes on with.
//!
//! Unlike Redis, PFCOUNT never writes what it has computed into the string: it only reads, here too. A cardinality that comes with a
//! string (it was counted elsewhere) is believed until something is added.

use crate::error::Error;
use crate::execute::Context;
use crate::spec::{self, Flags as F, Group, KeyFlags as K, Place, Spec};
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
