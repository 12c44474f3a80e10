//! Who waits for entries of a stream gets those that came after the waiting began.

mod common;

use base::Duration;
use common::{World, request};

#[test]
fn a_waiting_read_gets_what_is_newer_than_its_beginning_through_any_node() {
    let mut world = World::cluster(3);
    for node in 1..=3 {
        let (waiting, adding) = (world.connect(node), world.connect(1));
        assert_eq!(world.call(adding, "DEL s"), format!(":{}\r\n", u8::from(node > 1)));
        assert_eq!(world.call(adding, "XADD s 1 f old"), "$3\r\n1-0\r\n");
        world.send(waiting, &request(&["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]));
        world.pass(Duration::from_secs(2));
        assert_eq!(world.take(waiting), "");
        assert_eq!(world.call(adding, "XADD s 2 f new"), "$3\r\n2-0\r\n");
        world.pass(Duration::from_secs(1));
        let new = "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$3\r\nnew\r\n";
        assert_eq!(world.take(waiting), new);
    }
}

#[test]
fn one_of_two_waiting_consumers_gets_an_entry() {
    let mut world = World::single();
    let (first, second, adding) = (world.connect(1), world.connect(1), world.connect(1));
    assert_eq!(world.call(adding, "XGROUP CREATE s g $ MKSTREAM"), "+OK\r\n");
    for (client, name) in [(first, "a"), (second, "b")] {
        world.send(client, &request(&["XREADGROUP", "GROUP", "g", name, "BLOCK", "0", "STREAMS", "s", ">"]));
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.call(adding, "XADD s 1 f v"), "$3\r\n1-0\r\n");
    world.pass(Duration::from_secs(1));
    let one = "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
    assert_eq!((world.take(first).as_str(), world.take(second).as_str()), (one, ""));
    assert_eq!(world.call(adding, "XADD s 2 f v"), "$3\r\n2-0\r\n");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.take(second), one.replace("1-0", "2-0"));
    // A group that is gone gives nothing to wait for.
    world.send(first, &request(&["XREADGROUP", "GROUP", "g", "a", "BLOCK", "0", "STREAMS", "s", ">"]));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.call(adding, "XGROUP DESTROY s g"), ":1\r\n");
    world.pass(Duration::from_secs(1));
    assert!(world.take(first).starts_with("-NOGROUP"));
}
