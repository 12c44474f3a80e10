use super::{Report, bytes, duration, ranges, render};
use base::{GroupId, Index, NodeId, ReplicaId};
use node::overview::{CopyOverview, GroupOverview, NodeOverview, Overview, OwnCopy};

/// Three nodes with six shards, as node 1 sees them.
fn overview() -> Overview {
    let nodes = (1..=3).map(|id| NodeOverview {
        id: NodeId(id),
        linked: true,
        leads: 2,
        copies: 7,
        clock_ahead_ms: (id > 1).then_some(-3),
        addresses: node::api::Addresses { client: format!("10.0.0.{id}:6379"), ..Default::default() },
        ..Default::default()
    });
    let groups = (0..=6).map(|group| GroupOverview {
        group: GroupId(group),
        leader: Some(NodeId(group.div_ceil(2).max(1))),
        copies: (1..=3)
            .map(|node| CopyOverview {
                replica: ReplicaId::new(node, 0),
                voter: true,
                durable: (group <= 2).then_some(Index(if node == 3 { 90 } else { 100 })),
            })
            .collect(),
        own: Some(OwnCopy { last: Index(100), ..OwnCopy::default() }),
        ..Default::default()
    });
    Overview {
        cluster: 0xabc,
        me: NodeId(1),
        shards: 6,
        copies_wanted: 3,
        nodes: nodes.collect(),
        groups: groups.collect(),
        ready: true,
        uptime_ms: 61_000,
        version: "0.1.0",
        log_bytes: 64 << 20,
        ..Default::default()
    }
}

fn shown(overview: &Overview) -> String {
    let json = node::views::status::status(overview);
    render(&serde_json::from_str::<Report>(&json).expect("the node's report is understood"))
}

#[test]
fn a_healthy_cluster_is_shown_as_one() {
    let text = shown(&overview());
    let wanted = "\
All is well: 6 shards serve with 3 copies each, and an acknowledged write is on the disks of 2 nodes.

NODE  STATE       CLIENTS        LEADS  COPIES  LAG         CLOCK
1     up (asked)  10.0.0.1:6379  2      7       -           -
2     up          10.0.0.2:6379  2      7       none        -3 ms
3     up          10.0.0.3:6379  2      7       10 entries  -3 ms

SHARDS  LED BY  COPIES ON  CATCHING UP
1-2     node 1  1 2 3      -
3-4     node 2  1 2 3      -
5-6     node 3  1 2 3      -

Node 1: log 64.0 MiB, 0 B free on its disk, 0 B of memory
Cluster 00000000000000000000000000000abc · sihai 0.1.0 · seen from node 1, up 61 s
";
    assert_eq!(text, wanted);
}

#[test]
fn what_is_wrong_comes_first() {
    let mut overview = overview();
    overview.ready = false;
    overview.not_ready = vec!["node 3 can't be reached".into()];
    overview.nodes[2].linked = false;
    overview.nodes[2].silent_ms = 9_500;
    let text = shown(&overview);
    assert!(
        text.starts_with("Every shard serves, but not all is as it should be:\n  - node 3 can't"),
        "{text}"
    );
    assert!(text.contains("not linked for 9 s"), "{text}");
    overview.groups[4].leader = None;
    let text = shown(&overview);
    assert!(text.starts_with("1 of 6 shards have no leader"), "{text}");
    assert!(text.contains("nobody"), "{text}");
}

#[test]
fn numbers_are_shown_as_people_say_them() {
    assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1-3 5 7-8");
    assert_eq!(ranges(&[]), "");
    assert_eq!((bytes(17), bytes(1536), bytes(3 << 40)), ("17 B".into(), "1.5 KiB".into(), "3.0 TiB".into()));
    assert_eq!(
        (duration(12), duration(300_000), duration(260_000_000)),
        ("12 ms".into(), "5 min".into(), "3 days".into())
    );
}
