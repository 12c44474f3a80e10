use super::Lane;
use crate::api::ClientId;
use crate::api::Config;
use crate::hub::{Hub, Verdict, Waiter, Work};
use base::{GroupId, NodeId, SessionId, Time, UnixMillis};
use bytes::Bytes;
use resp::{Limits, Reader};

const GROUP: GroupId = GroupId(1);
const LEADER: NodeId = NodeId(2);

fn hub() -> Hub {
    let session = SessionId { node: NodeId(1), start: 1 };
    Hub::new(Config::default(), session, 2, Time::from_millis(1), UnixMillis(1))
}

fn connect(hub: &mut Hub, client: u64) -> u32 {
    let (id, now) = (ClientId(client), hub.now);
    let open = std::sync::Arc::new(crate::users::Access::new(
        bytes::Bytes::new(),
        crate::users::User::unrestricted(),
    ));
    hub.clients.connect(id, "10.0.0.9:1".into(), now, open, Reader::new(Limits::default()))
}

fn read(hub: &mut Hub, lane: &mut Lane, slot: u32) {
    let waiter = Waiter::Client(hub.clients.ticket(slot, Some(GROUP)));
    lane.push(waiter, Work::Read(Bytes::from_static(b"GET")), hub.now);
}

/// Found by the simulator's seed 98: of two reads in one pipeline the first one's answer got lost; it was sent again, and
/// saw what had been deleted since the second had been answered.
#[test]
fn a_read_is_not_sent_again_when_a_read_behind_it_has_been_answered() {
    let (mut hub, mut lane) = (hub(), Lane::new(GROUP));
    let (one, other) = (connect(&mut hub, 1), connect(&mut hub, 2));
    read(&mut hub, &mut lane, one);
    read(&mut hub, &mut lane, other);
    read(&mut hub, &mut lane, one);
    assert_eq!(lane.due(&mut hub, Some(LEADER)).len(), 3);
    lane.answered(&mut hub, LEADER, 3, Verdict::Done(Bytes::from_static(b"$1\r\nv\r\n")));
    lane.link_lost(LEADER);
    let again: Vec<u64> = lane.due(&mut hub, Some(LEADER)).iter().map(|request| request.id).collect();
    assert_eq!(again, [2], "only the other client's read may look again");
}
