use super::{Machine, State};
use base::{DatabaseId, Index, UnixMillis};
use bytes::Bytes;
use keyspace::Keyspace;

#[test]
fn a_snapshot_whose_pieces_are_of_a_later_state_than_its_header_is_refused() {
    let mut later = Machine::new(State::Shard(Keyspace::new([1, 2])));
    let mut earlier = Machine::new(State::Shard(Keyspace::new([1, 2])));
    for index in 1..=5 {
        later.apply_empty(Index(index));
        if index <= 3 {
            earlier.apply_empty(Index(index));
        }
    }
    let State::Shard(keyspace) = &mut later.state else { panic!("it was made with one") };
    put(keyspace);
    let pieces = |machine: &mut Machine| {
        machine.begin_snapshot();
        std::iter::from_fn(|| machine.next_chunk(1_000)).collect::<Vec<_>>()
    };
    let (later, earlier) = (pieces(&mut later), pieces(&mut earlier));

    let mut honest = Machine::from_header(Bytes::from(later[0].clone())).expect("it is a header");
    assert_eq!(honest.load_chunk(&later[1]), Ok(()));
    honest.apply_empty(Index(6));

    let mut mixed = Machine::from_header(Bytes::from(earlier[0].clone())).expect("it is a header");
    assert!(mixed.load_chunk(&later[1]).is_err(), "the next entry would break an invariant");
}

fn put(keyspace: &mut Keyspace) {
    use base::database::{Database, Expiry};
    keyspace.database(DatabaseId(1), UnixMillis(0)).put_string(b"key", b"value", Expiry::Clear);
}
