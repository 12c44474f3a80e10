//! Promises of places. Scores, geohashes and distances are Redis's own.

use super::*;
use proptest::prelude::*;

const PALERMO: Place = Place { longitude: 13.361_389, latitude: 38.115_556 };
const CATANIA: Place = Place { longitude: 15.087_269, latitude: 37.502_669 };

#[test]
fn scores_and_geohashes_are_redis_s() {
    assert_eq!(PALERMO.score(), 3_479_099_956_230_698.0);
    assert_eq!(CATANIA.score(), 3_479_447_370_796_909.0);
    assert_eq!(&Place::of_score(PALERMO.score()).geohash(), b"sqc8b49rny0");
    assert_eq!(&Place::of_score(CATANIA.score()).geohash(), b"sqdtr74hyu0");
}

#[test]
fn distances_are_redis_s() {
    let (from, to) = (Place::of_score(PALERMO.score()), Place::of_score(CATANIA.score()));
    assert_eq!(format!("{:.4}", from.distance_m(to)), "166274.1516");
    assert_eq!(from.distance_m(from), 0.0);
}

fn places() -> impl Strategy<Value = Place> {
    (-180.0..180.0, -85.0..85.0).prop_map(|(longitude, latitude)| Place { longitude, latitude })
}

proptest! {
    #[test]
    fn a_score_says_a_place_to_less_than_a_meter(place in places()) {
        let back = Place::of_score(place.score());
        prop_assert!(place.distance_m(back) < 1.0);
        prop_assert_eq!(back.score(), place.score());
    }

    /// The cells that are looked through hold every place of a circle that stays away from the poles and the date line.
    #[test]
    fn no_place_in_a_circle_is_missed(
        longitude in -100.0..100.0f64, latitude in -60.0..60.0f64, east in -1.0..1.0f64, north in -1.0..1.0f64,
        radius_m in 1.0..1_000_000.0f64,
    ) {
        let center = Place { longitude, latitude };
        let area = Area { center, shape: Shape::Circle { radius_m } };
        let degrees = radius_m / 111_000.0;
        let other = Place { longitude: longitude + east * degrees, latitude: latitude + north * degrees };
        if area.distance_m(other).is_some() {
            let score = other.score();
            prop_assert!(area.scores().iter().any(|scores| scores.contains(&score)));
        }
    }

    #[test]
    fn no_two_cells_share_a_score(place in places(), radius_m in 0.0..30_000_000.0f64) {
        let area = Area { center: place, shape: Shape::Circle { radius_m } };
        let mut scores = area.scores();
        scores.sort_by(|a, b| a.start.total_cmp(&b.start));
        prop_assert!(scores.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
