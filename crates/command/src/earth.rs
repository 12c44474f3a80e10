//! Places on the earth: how a sorted set keeps them as scores, how far apart they are, and which scores lie near one.
//!
//! A score is a place in the numbering of Redis: 26 bits each of latitude and longitude, interleaved, so that dumps agree.
//! Distances are great circles on Redis's sphere. All arithmetic is Rust's own (see [`crate::trigonometry`]), so that every
//! replica finds the same members and stores the same distances.

use crate::trigonometry::{asin, cos, sin};
use smallvec::SmallVec;
use std::f64::consts::PI;
use std::ops::Range;

/// Redis's radius of the earth.
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half of the earth's circumference, as the Mercator projection has it.
const HALF_AROUND_M: f64 = 20_037_726.37;
/// The projection ends here, short of the poles.
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;
/// Bits of each coordinate in a score.
const STEPS_MAX: u32 = 26;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) longitude: f64,
    pub(crate) latitude: f64,
}

impl Place {
    /// Whether a score can say it.
    pub(crate) fn is_on_the_map(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The score of this place.
    pub(crate) fn score(self) -> f64 {
        Cell::around(self, STEPS_MAX, LATITUDE_MAX).number() as f64
    }

    /// The middle of the cell that a score says.
    pub(crate) fn of_score(score: f64) -> Self {
        let number = score as u64;
        let cell = Cell { x: every_other_bit(number >> 1), y: every_other_bit(number), steps: STEPS_MAX };
        let (longitudes, latitudes) = cell.bounds();
        let middle = |range: Range<f64>, max: f64| f64::midpoint(range.start, range.end).clamp(-max, max);
        Self { longitude: middle(longitudes, LONGITUDE_MAX), latitude: middle(latitudes, LATITUDE_MAX) }
    }

    /// The eleven characters by which others know this place, in which latitudes reach to the poles.
    pub(crate) fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let number = Cell::around(self, STEPS_MAX, 90.0).number();
        // 52 bits make ten characters; the rest of the eleventh isn't known.
        std::array::from_fn(|at| match at {
            0..10 => ALPHABET[(number >> (52 - 5 * (at + 1)) & 31) as usize],
            _ => ALPHABET[0],
        })
    }

    /// Meters to another place along a great circle, by the haversine formula.
    pub(crate) fn distance_m(self, other: Self) -> f64 {
        let v = sin((radians(other.longitude) - radians(self.longitude)) / 2.0);
        if v == 0.0 {
            return along_meridian_m(self.latitude, other.latitude);
        }
        let (from, to) = (radians(self.latitude), radians(other.latitude));
        let u = sin((to - from) / 2.0);
        let a = u * u + cos(from) * cos(to) * v * v;
        2.0 * EARTH_RADIUS_M * asin(a.sqrt())
    }
}

fn radians(degrees: f64) -> f64 {
    degrees * (PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (PI / 180.0)
}

fn along_meridian_m(from: f64, to: f64) -> f64 {
    EARTH_RADIUS_M * (radians(to) - radians(from)).abs()
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// What is at most so far away.
    Circle {
        /// How far.
        radius_m: f64,
    },
    /// What lies between two parallels and two meridians, or nearly so.
    Box {
        /// From west to east.
        width_m: f64,
        /// From south to north.
        height_m: f64,
    },
}

/// A shape around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub(crate) center: Place,
    pub(crate) shape: Shape,
}

impl Area {
    /// The distance of a place from the center, if it lies within the area.
    pub(crate) fn distance_m(&self, place: Place) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius_m } => {
                Some(self.center.distance_m(place)).filter(|distance| *distance <= radius_m)
            }
            Shape::Box { width_m, height_m } => {
                let beside = Place { longitude: self.center.longitude, latitude: place.latitude };
                let within = along_meridian_m(place.latitude, self.center.latitude) <= height_m / 2.0
                    && place.distance_m(beside) <= width_m / 2.0;
                within.then(|| self.center.distance_m(place))
            }
        }
    }

    /// Ranges of scores that hold all places of the area, and others: the cell of the center and those of its eight neighbours
    /// that matter, in the order in which Redis looks through them.
    pub(crate) fn scores(&self) -> SmallVec<[Range<f64>; 9]> {
        let (longitudes, latitudes) = self.bounds();
        let mut steps = self.steps();
        let mut cell = Cell::around(self.center, steps, LATITUDE_MAX);
        // Near the edge of its cell, the area may reach beyond the neighbours: then all become larger.
        let falls_short = cell.beside(0, 1).bounds().1.end < latitudes.end
            || cell.beside(0, -1).bounds().1.start > latitudes.start
            || cell.beside(1, 0).bounds().0.end < longitudes.end
            || cell.beside(-1, 0).bounds().0.start > longitudes.start;
        if steps > 1 && falls_short {
            steps -= 1;
            cell = Cell::around(self.center, steps, LATITUDE_MAX);
        }
        let (east_west, north_south) = cell.bounds();
        let matters = |dx: i64, dy: i64| {
            steps < 2
                || !(dy < 0 && north_south.start < latitudes.start
                    || dy > 0 && north_south.end > latitudes.end
                    || dx < 0 && east_west.start < longitudes.start
                    || dx > 0 && east_west.end > longitudes.end)
        };
        let mut cells: SmallVec<[Cell; 9]> = SmallVec::new();
        for (dx, dy) in [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)] {
            let other = cell.beside(dx, dy);
            // A cell of half the world meets itself on the other side.
            if matters(dx, dy) && !cells.contains(&other) {
                cells.push(other);
            }
        }
        cells.into_iter().map(Cell::scores).collect()
    }

    /// The longitudes and latitudes between which the area lies.
    fn bounds(&self) -> (Range<f64>, Range<f64>) {
        let Place { longitude, latitude } = self.center;
        let (width_m, height_m) = match self.shape {
            Shape::Circle { radius_m } => (radius_m, radius_m),
            Shape::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        };
        let up = degrees(height_m / EARTH_RADIUS_M);
        // The side that is nearer to its pole spans more degrees.
        let widest = if latitude < 0.0 { latitude - up } else { latitude + up };
        let aside = degrees(width_m / EARTH_RADIUS_M / cos(radians(widest)));
        (longitude - aside..longitude + aside, latitude - up..latitude + up)
    }

    /// How fine cells may be so that the area reaches no further than the neighbours, mostly.
    fn steps(&self) -> u32 {
        let mut reach_m = match self.shape {
            Shape::Circle { radius_m } => radius_m,
            Shape::Box { width_m, height_m } => {
                ((width_m / 2.0) * (width_m / 2.0) + (height_m / 2.0) * (height_m / 2.0)).sqrt()
            }
        };
        if reach_m == 0.0 {
            return STEPS_MAX;
        }
        let mut steps: u32 = 1;
        while reach_m < HALF_AROUND_M {
            reach_m *= 2.0;
            steps += 1;
        }
        let latitude = self.center.latitude.abs();
        let narrower = 2 + u32::from(latitude > 66.0) + u32::from(latitude > 80.0);
        steps.saturating_sub(narrower).clamp(1, STEPS_MAX)
    }
}

/// A field of the map when it is halved `steps` times in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    /// Counted from the west.
    x: u64,
    /// Counted from the south.
    y: u64,
    steps: u32,
}

impl Cell {
    fn around(place: Place, steps: u32, latitude_max: f64) -> Self {
        let count = (1u64 << steps) as f64;
        let index = |at: f64, max: f64| ((at + max) / (max + max) * count) as u64;
        Self { x: index(place.longitude, LONGITUDE_MAX), y: index(place.latitude, latitude_max), steps }
    }

    /// The cell so many to the east and to the north, around the map's edges. What lies on the northern or eastern edge itself
    /// has an index beyond the last, which it keeps unless it moves: so Redis numbers it, and so it is found.
    fn beside(self, dx: i64, dy: i64) -> Self {
        let mask = (1u64 << self.steps) - 1;
        let moved = |index: u64, by: i64| if by == 0 { index } else { index.wrapping_add_signed(by) & mask };
        Self { x: moved(self.x, dx), y: moved(self.y, dy), steps: self.steps }
    }

    /// The longitudes and latitudes between which it lies.
    fn bounds(self) -> (Range<f64>, Range<f64>) {
        let count = (1u64 << self.steps) as f64;
        let edge = |index: u64, max: f64| index as f64 / count * (max + max) - max;
        (
            edge(self.x, LONGITUDE_MAX)..edge(self.x + 1, LONGITUDE_MAX),
            edge(self.y, LATITUDE_MAX)..edge(self.y + 1, LATITUDE_MAX),
        )
    }

    /// Both coordinates in one number: bits of the longitude above those of the latitude, in turn.
    fn number(self) -> u64 {
        spread_bits(self.y) | spread_bits(self.x) << 1
    }

    /// The scores of the places in it.
    fn scores(self) -> Range<f64> {
        let shift = 2 * (STEPS_MAX - self.steps);
        (self.number() << shift) as f64..((self.number() + 1) << shift) as f64
    }
}

/// Puts a zero before each of the lower 32 bits.
fn spread_bits(number: u64) -> u64 {
    const STAGES: [(u32, u64); 5] = [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ];
    STAGES.iter().fold(number & 0xffff_ffff, |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// Undoes [`spread_bits`], whatever stands between.
fn every_other_bit(number: u64) -> u64 {
    (0..32).fold(0, |bits, at| bits | (number >> (2 * at) & 1) << at)
}

#[cfg(test)]
mod tests;
