//! Exact renderings of one small cluster: what tools parse must not change by accident.

use super::cluster::ClusterCommand;
use super::config::{self, ConfigChange, ConfigCommand};
use super::{info::info, metrics::metrics, node_name, split_address, status::status};
use crate::api::{Addresses, Config, Machine};
use crate::memory::Policy;
use crate::meta::{Meta, MetaCommand, Setting, setting};
use crate::overview::{
    CopyOverview, Counters, DatabaseOverview, GroupOverview, NodeOverview, Overview, OwnCopy,
};
use crate::users::PasswordDigest;
use base::{Duration, GroupId, Index, NodeId, ReplicaId, Slot, Term, UnixMillis};
use keyspace::usage::Counting;
use resp::{Protocol, Writer};
use std::collections::BTreeMap;

fn node(id: u32, linked: bool, leads: usize) -> NodeOverview {
    NodeOverview {
        id: NodeId(id),
        addresses: Addresses {
            client: format!("10.0.0.{id}:6379"),
            peer: format!("10.0.0.{id}:16379"),
            http: format!("10.0.0.{id}:8379"),
        },
        linked,
        silent_ms: if id == 1 { 0 } else { 40 },
        leads,
        copies: 3,
        clock_ahead_ms: (id != 1).then_some(-2),
    }
}

fn shard(group: u32, slots: &[(u16, u16)], leader: Option<u32>) -> GroupOverview {
    let copy = |node: u32| CopyOverview {
        replica: ReplicaId::new(node, 4),
        voter: true,
        durable: (leader == Some(1)).then_some(Index(if node == 3 { 7 } else { 9 })),
    };
    GroupOverview {
        group: GroupId(group),
        slots: slots.to_vec(),
        leader: leader.map(NodeId),
        term: Term(2),
        copies: (1..=3).map(copy).collect(),
        own: Some(OwnCopy {
            leads: leader == Some(1),
            last: Index(9),
            committed: Index(9),
            applied: Index(8),
            keys: 2,
            evicted: 0,
            memory_bytes: 1000,
            log_bytes: 300,
        }),
    }
}

/// Three nodes, of which the third can't be reached; two shards, led by the first and the second.
fn overview() -> Overview {
    let meta = GroupOverview { own: None, ..shard(0, &[], Some(2)) };
    Overview {
        cluster: 0xabc,
        me: NodeId(1),
        epoch: 3,
        shards: 2,
        copies_wanted: 3,
        nodes: vec![node(1, true, 1), node(2, true, 2), node(3, false, 0)],
        groups: vec![meta, shard(1, &[(0, 8191)], Some(1)), shard(2, &[(8192, 16_383)], Some(2))],
        programs: crate::overview::Programs { scripts: 3, functions: 2, libraries: 1 },
        databases: vec![DatabaseOverview { index: 0, mode: "consistent", keys: 4, volatile: 1 }],
        ready: false,
        not_ready: vec!["node 3 can't be \"reached\"".to_string()],
        loading: false,
        counters: Counters {
            clients: 1,
            connections: 5,
            commands: 70,
            errors: BTreeMap::from([("ERR".to_string(), 2), ("NOQUORUM".to_string(), 1)]),
            keyspace_hits: 6,
            ..Counters::default()
        },
        memory: Default::default(),
        machine: Machine {
            memory_bytes: 3_500_000,
            memory_total_bytes: 8 << 30,
            cpu_us: (1_500_000, 250_001),
            disk_free_bytes: 77,
        },
        log_bytes: 4096,
        mirrors_degraded: vec!["second".to_string()],
        wall: UnixMillis(1_700_000_000_000),
        uptime_ms: 90_061_500,
        version: "0.1.0",
    }
}

fn asked(command: &[&str], protocol: Protocol) -> String {
    let command = ClusterCommand::parse(command).expect("a command of CLUSTER");
    let mut bytes = Vec::new();
    assert!(command.answer(&overview(), &mut Writer::new(&mut bytes, protocol)));
    String::from_utf8(bytes).expect("text")
}

#[test]
fn info_is_what_tools_parse() {
    let expected = "\
        # Server|redis_version:7.2.0|redis_mode:standalone|arch_bits:64|tcp_port:6379|\
        server_time_usec:1700000000000000|uptime_in_seconds:90061|uptime_in_days:1||\
        # Clients|connected_clients:1|maxclients:10000|blocked_clients:0|tracking_clients:0||\
        # Memory|used_memory:2000|used_memory_human:1.95K|used_memory_rss:3500000|used_memory_rss_human:3.34M|\
        total_system_memory:8589934592|total_system_memory_human:8.00G|maxmemory:0|maxmemory_human:0B|\
        maxmemory_policy:noeviction|number_of_cached_scripts:3|number_of_functions:2|number_of_libraries:1|mem_not_counted_for_evict:0|lazyfree_pending_objects:0|lazyfreed_objects:0||\
        # Persistence|loading:0|async_loading:0|rdb_changes_since_last_save:0|rdb_bgsave_in_progress:0|aof_enabled:1|aof_rewrite_in_progress:0|\
        aof_last_write_status:ok|aof_current_size:4096||\
        # Stats|total_connections_received:5|total_commands_processed:70|total_net_input_bytes:0|\
        total_net_output_bytes:0|rejected_connections:0|expired_keys:0|evicted_keys:0|evicted_clients:0|keyspace_hits:6|\
        keyspace_misses:0|acl_access_denied_auth:0|acl_access_denied_cmd:0|acl_access_denied_key:0|acl_access_denied_channel:0|tracking_total_keys:0|tracking_total_items:0|tracking_total_prefixes:0|total_error_replies:3||\
        # Replication|role:master|connected_slaves:0||\
        # CPU|used_cpu_sys:0.250001|used_cpu_user:1.500000||\
        # Modules||\
        # Errorstats|errorstat_ERR:count=2|errorstat_NOQUORUM:count=1||\
        # Cluster|cluster_enabled:0||\
        # Keyspace|db0:keys=4,expires=1,avg_ttl=0||\
        # Transactions|transactions_in_flight:0|transactions_prepared:0|transactions_waiting:0|\
        transactions_commands_waiting:0|transactions_begun:0|transactions_committed:0|transactions_not_executed:0|\
        transactions_unknown:0|transactions_retries:0|transactions_rounds:0|transactions_reads:0|\
        transactions_read_retries:0|transactions_prepares:0|transactions_waits:0|transactions_refused:0|\
        transactions_recoveries:0|transactions_commands_waited:0||\
        # Sihai|sihai_version:0.1.0|cluster_id:00000000000000000000000000000abc|node_id:1|ready:0|\
        not_ready_0:node 3 can't be \"reached\"|nodes:3|nodes_linked:2|placement_epoch:3|shards:2|\
        shards_without_leader:0|shards_kept_here:2|copies_wanted:3|copies_held:3|copies_voting:3|acknowledged_on_disks:2|\
        durability:an acknowledged write is on 2 nodes' disks|db0_mode:consistent|\
        node1:client=10.0.0.1:6379,linked=1,leads=1,copies=3|\
        node2:client=10.0.0.2:6379,linked=1,leads=2,copies=3,clock_ahead_ms=-2|\
        node3:client=10.0.0.3:6379,linked=0,leads=0,copies=3,clock_ahead_ms=-2|lease_reads:1|\
        disk_free_bytes:77|mirrors_degraded:1|mirror_degraded_0:second|";
    let text = info::<&str>(&overview(), &Config::default(), &[]);
    assert_eq!(text.replace("\r\n", "|"), expected);
    assert_eq!(info(&overview(), &Config::default(), &["default"]), text);
    let with_details = text
        .replace("# Errorstats", "# Commandstats\r\n\r\n# Errorstats")
        .replace("# Cluster", "# Latencystats\r\n\r\n# Cluster");
    for all in ["ALL", "everything"] {
        assert_eq!(info(&overview(), &Config::default(), &[all]), with_details);
    }
}

#[test]
fn info_gives_the_sections_that_were_asked_for_in_their_order() {
    let sections = ["keyspace", "CLUSTER", "nonsense"];
    let text = info(&overview(), &Config::default(), &sections);
    assert_eq!(
        text,
        "# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\ndb0:keys=4,expires=1,avg_ttl=0\r\n"
    );
    assert_eq!(info(&overview(), &Config::default(), &["nonsense"]), "");
}

#[test]
fn info_says_on_how_many_disks_an_acknowledged_write_is() {
    let durability = |voters: u32| {
        let mut overview = overview();
        for (copy, number) in overview.groups[1].copies.iter_mut().zip(1..) {
            copy.voter = number <= voters;
        }
        let text = info(&overview, &Config::default(), &["sihai"]);
        text.lines().find_map(|line| line.strip_prefix("durability:")).expect("the field").to_string()
    };
    assert_eq!(durability(3), "an acknowledged write is on 2 nodes' disks");
    assert_eq!(durability(1), "an acknowledged write is on 1 disk");
    assert_eq!(durability(0), "not known: no copy is known that votes");
}

#[test]
fn a_line_break_from_elsewhere_cannot_forge_a_field() {
    let mut overview = overview();
    overview.nodes[1].addresses.client = "x\r\nrole:slave".to_string();
    let text = info::<&str>(&overview, &Config::default(), &[]);
    assert!(!text.lines().any(|line| line == "role:slave"));
}

#[test]
fn cluster_slots_names_the_leader_first_and_then_the_other_copies() {
    let one = "00000000000000000000000000000abc00000001";
    assert_eq!(node_name(0xabc, NodeId(1)), one);
    let node =
        |id: u32, end: &str| format!("*4|$8|10.0.0.{id}|:6379|$40|{}|{end}", node_name(0xabc, NodeId(id)));
    let expected = |end: &str| {
        format!(
            "*2|*5|:0|:8191|{}{}{}*5|:8192|:16383|{}{}{}",
            node(1, end),
            node(2, end),
            node(3, end),
            node(2, end),
            node(1, end),
            node(3, end)
        )
    };
    assert_eq!(asked(&["SLOTS"], Protocol::Resp2).replace("\r\n", "|"), expected("*0|"));
    assert_eq!(asked(&["slots"], Protocol::Resp3).replace("\r\n", "|"), expected("%0|"));
}

#[test]
fn cluster_shards_tells_roles_offsets_and_health() {
    let node = |id: u32, role: &str, offset: u32, health: &str| {
        format!(
            "%7|$2|id|$40|{}|$4|port|:6379|$2|ip|$8|10.0.0.{id}|$8|endpoint|$8|10.0.0.{id}|\
             $4|role|${}|{role}|$18|replication-offset|:{offset}|$6|health|$6|{health}|",
            node_name(0xabc, NodeId(id)),
            role.len()
        )
    };
    let shard = |first: u16, last: u16, nodes: [String; 3]| {
        format!("%2|$5|slots|*2|:{first}|:{last}|$5|nodes|*3|{}", nodes.concat())
    };
    let expected = format!(
        "*2|{}{}",
        shard(
            0,
            8191,
            [
                node(1, "master", 8, "online"),
                node(2, "replica", 9, "online"),
                node(3, "replica", 7, "failed")
            ]
        ),
        shard(
            8192,
            16_383,
            [
                node(2, "master", 0, "online"),
                node(1, "replica", 8, "online"),
                node(3, "replica", 0, "failed")
            ]
        ),
    );
    assert_eq!(asked(&["shards"], Protocol::Resp3).replace("\r\n", "|"), expected);
    let flat = expected.replace("%7", "*14").replace("%2", "*4");
    assert_eq!(asked(&["shards"], Protocol::Resp2).replace("\r\n", "|"), flat);
}

#[test]
fn cluster_nodes_has_one_line_a_node_with_the_slots_it_leads() {
    let name = |id| node_name(0xabc, NodeId(id));
    let expected = format!(
        "{} 10.0.0.1:6379@16379 myself,master - 0 0 3 connected 0-8191\n\
         {} 10.0.0.2:6379@16379 master - 0 1699999999960 3 connected 8192-16383\n\
         {} 10.0.0.3:6379@16379 master,fail? - 0 1699999999960 3 disconnected\n",
        name(1),
        name(2),
        name(3)
    );
    assert_eq!(asked(&["nodes"], Protocol::Resp2), format!("${}\r\n{expected}\r\n", expected.len()));
    let mut overview = overview();
    overview.groups[2].leader = Some(NodeId(1));
    let mut bytes = Vec::new();
    ClusterCommand::Nodes.answer(&overview, &mut Writer::new(&mut bytes, Protocol::Resp2));
    assert!(String::from_utf8_lossy(&bytes).contains(" connected 0-16383\n"), "neighbours are one range");
}

#[test]
fn cluster_info_counts_the_slots_that_nobody_serves() {
    let text = |overview: &Overview| {
        let mut bytes = Vec::new();
        ClusterCommand::Info.answer(overview, &mut Writer::new(&mut bytes, Protocol::Resp3));
        String::from_utf8(bytes).expect("text").replace("\r\n", "|")
    };
    let mut overview = overview();
    assert_eq!(
        text(&overview),
        "=205|txt:cluster_state:ok|cluster_slots_assigned:16384|cluster_slots_ok:16384|cluster_slots_pfail:0|\
         cluster_slots_fail:0|cluster_known_nodes:3|cluster_size:2|cluster_current_epoch:3|cluster_my_epoch:3||"
    );
    overview.groups[1].leader = None;
    let cut = text(&overview);
    for field in ["cluster_state:fail|", "cluster_slots_ok:8192|", "cluster_slots_fail:8192|"] {
        assert!(cut.contains(field), "{cut}");
    }
}

#[test]
fn cluster_commands_are_read_as_redis_reads_them() {
    assert_eq!(asked(&["myid"], Protocol::Resp2), format!("$40\r\n{}\r\n", node_name(0xabc, NodeId(1))));
    assert_eq!(asked(&["KeySlot", "foo"], Protocol::Resp2), ":12182\r\n");
    let parse = |words: &[&str]| ClusterCommand::parse(words);
    let slot = Slot::new(5).expect("a slot");
    assert_eq!(parse(&["countkeysinslot", "5"]), Ok(ClusterCommand::CountKeysInSlot(slot)));
    assert_eq!(parse(&["getkeysinslot", "5", "10"]), Ok(ClusterCommand::GetKeysInSlot { slot, count: 10 }));
    for (words, error) in [
        (&["keyslot"][..], "ERR wrong number of arguments for 'cluster|keyslot' command"),
        (&["countkeysinslot", "16384"], "ERR Invalid slot"),
        (&["countkeysinslot", "x"], "ERR value is not an integer or out of range"),
        (&["getkeysinslot", "1", "-1"], "ERR Invalid slot or number of keys"),
        (&["nope", "a", "1"], "ERR unknown subcommand 'nope'. Try CLUSTER HELP."),
    ] {
        assert_eq!(parse(words), Err(error.to_string()), "{words:?}");
    }
}

fn configured() -> (Config, Meta) {
    let config = Config {
        addresses: Addresses { client: "h:7000".to_string(), ..Addresses::default() },
        ..Config::default()
    };
    let meta = Meta::founding(&config, 1, [0, 0]);
    (config, meta)
}

fn set(words: &[&str]) -> Result<Vec<ConfigChange>, String> {
    let (config, meta) = configured();
    let words: Vec<&str> = ["set"].iter().chain(words).copied().collect();
    match ConfigCommand::parse(&words, &config, &meta)? {
        ConfigCommand::Set(changes) => Ok(changes),
        other => panic!("CONFIG SET was read as {other:?}"),
    }
}

#[test]
fn config_get_gives_every_parameter_that_matches_once() {
    let (config, meta) = configured();
    let names = |patterns: &[&str]| {
        config::get(patterns, &config, &meta).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&["MAX*", "maxmemory", "save"]),
        [
            "maxclients",
            "maxmemory",
            "maxmemory-clients",
            "maxmemory-eviction-tenacity",
            "maxmemory-policy",
            "maxmemory-samples",
            "save"
        ]
    );
    assert_eq!(names(&["nothing*"]), Vec::<&str>::new());
    let all = names(&["*"]);
    assert!(all.is_sorted(), "{all:?}");
    assert_eq!(all.len(), 122);
    for (name, value) in [
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("save", ""),
        ("databases", "16"),
        ("maxclients", "10000"),
        ("port", "7000"),
        ("request-timeout", "5000"),
        ("pipeline-order", "shard"),
        ("protected-mode", "yes"),
        ("proto-max-bulk-len", "536870912"),
        ("shards", "16"),
        ("requirepass", ""),
        ("election-timeout", "300"),
    ] {
        assert_eq!(config::get(&[name], &config, &meta), [(name, value.to_string())]);
    }
    let mut bytes = Vec::new();
    config::answer_get(&["save"], &config, &meta, &mut Writer::new(&mut bytes, Protocol::Resp3));
    assert_eq!(bytes, b"%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
}

#[test]
fn config_set_changes_the_node_or_asks_meta() {
    let (mut config, mut meta) = configured();
    let words = [
        "maxclients",
        "7",
        "REQUEST-TIMEOUT",
        "250",
        "pipeline-order",
        "Strict",
        "protected-mode",
        "no",
        "requirepass",
        "secret",
        "appendonly",
        "YES",
    ];
    let changes = set(&words).expect("all of them can be set");
    assert_eq!(changes.len(), 5, "what is so already is no change");
    for change in &changes {
        change.apply(&mut config);
        if let Some(setting) = change.for_meta() {
            meta.apply(MetaCommand::SetAll { settings: vec![setting] });
        }
    }
    assert_eq!((config.clients_max, config.request_timeout), (7, Duration::from_millis(250)));
    assert!(config.pipeline_order_strict && !config.protected_mode);
    assert_eq!(meta.password(), Some(PasswordDigest::of(b"secret")));
    // What is shown can be set again.
    let shown = config::get(&["requirepass"], &config, &meta).remove(0).1;
    assert_eq!(set(&["requirepass", &shown]), Ok(vec![ConfigChange::Password(meta.password())]));
    let unset = set(&["requirepass", ""]).expect("no password is a password").remove(0);
    assert_eq!(unset.for_meta(), Some(Setting { key: setting::REQUIREPASS.to_string(), value: None }));
}

#[test]
fn the_limits_of_memory_are_the_clusters_and_read_with_units() {
    let (config, mut meta) = configured();
    let shown = |meta: &Meta, name: &str| config::get(&[name], &config, meta).remove(0).1;
    assert_eq!(shown(&meta, "maxmemory"), "0");
    for (value, bytes) in
        [("100mb", 104_857_600u64), ("1G", 1_000_000_000), ("2Kb", 2048), ("7b", 7), ("9", 9)]
    {
        let changes = set(&["MaxMemory", value]).expect("a size");
        let setting = changes[0].for_meta().expect("it is the cluster's");
        meta.apply(MetaCommand::SetAll { settings: vec![setting] });
        assert_eq!(shown(&meta, "maxmemory"), bytes.to_string());
        assert_eq!(config::memory::of(&meta).bytes, bytes);
    }
    for value in ["100xb", "-1", "50%", "1.5mb", "", "mb", "99999999999999gb"] {
        let why = "argument must be a memory value";
        let error = format!("ERR CONFIG SET failed (possibly related to argument 'maxmemory') - {why}");
        assert_eq!(set(&["maxmemory", value]), Err(error), "{value}");
    }
    for (name, value, why) in [
        (
            "maxmemory-policy",
            "foo",
            "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, \
             allkeys-lru, allkeys-lfu, allkeys-random, noeviction",
        ),
        ("maxmemory-samples", "0", "argument must be between 1 and 64 inclusive"),
        ("maxmemory-eviction-tenacity", "101", "argument must be between 0 and 100 inclusive"),
        ("lfu-log-factor", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("lfu-decay-time", "x", "argument couldn't be parsed into an integer"),
    ] {
        let error = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
        assert_eq!(set(&[name, value]), Err(error));
    }
    for (name, value) in [
        ("maxmemory-policy", "allkeys-LFU"),
        ("maxmemory-samples", "7"),
        ("maxmemory-eviction-tenacity", "50"),
        ("lfu-log-factor", "3"),
        ("lfu-decay-time", "0"),
    ] {
        let changes = set(&[name, value]).expect("it can be set");
        let setting = changes[0].for_meta().expect("it is the cluster's");
        meta.apply(MetaCommand::SetAll { settings: vec![setting] });
        assert_eq!(shown(&meta, name), value.to_ascii_lowercase());
    }
    let limits = config::memory::of(&meta);
    assert_eq!((limits.policy, limits.samples, limits.tenacity), (Policy::ALLKEYS_LFU, 7, 50));
    assert_eq!(limits.counting, Counting { on: true, log_factor: 3, decay_minutes: 0 });
}

#[test]
fn config_set_refuses_as_redis_does_and_then_changes_nothing() {
    let failed = |name: &str, why: &str| {
        Err(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
    };
    assert_eq!(
        set(&["maxclients", "1", "foo", "bar"]),
        Err("ERR Unknown option or number of arguments for CONFIG SET - 'foo'".to_string())
    );
    assert_eq!(
        set(&["maxclients"]),
        Err("ERR wrong number of arguments for 'config|set' command".to_string())
    );
    assert_eq!(set(&["maxclients", "1", "save"]), Err("ERR syntax error".to_string()));
    assert_eq!(
        set(&["maxclients", "x"]),
        failed("maxclients", "argument couldn't be parsed into an integer")
    );
    assert_eq!(
        set(&["maxclients", "0"]),
        failed("maxclients", "argument must be between 1 and 4294967295 inclusive")
    );
    assert_eq!(set(&["protected-mode", "on"]), failed("protected-mode", "argument must be 'yes' or 'no'"));
    assert_eq!(
        set(&["pipeline-order", "x"]),
        failed("pipeline-order", "argument(s) must be one of the following: shard, strict")
    );
    assert_eq!(set(&["appendfsync", "no"]), failed("appendfsync", "can't set immutable config"));
    assert_eq!(set(&["maxclients", "1", "MAXCLIENTS", "2"]), failed("maxclients", "duplicate parameter"));
    let (config, meta) = configured();
    let parse = |words: &[&str]| ConfigCommand::parse(words, &config, &meta);
    assert_eq!(parse(&["rewrite"]), Err("ERR The server is running without a config file".to_string()));
    assert_eq!(parse(&["resetstat"]), Ok(ConfigCommand::ResetStat));
    assert_eq!(parse(&["get"]), Err("ERR wrong number of arguments for 'config|get' command".to_string()));
    assert_eq!(parse(&["x"]), Err("ERR unknown subcommand 'x'. Try CONFIG HELP.".to_string()));
}

#[test]
fn status_is_json_with_everything_in_it() {
    let mut overview = overview();
    overview.nodes.truncate(1);
    overview.groups.truncate(2);
    overview.groups[1].copies.truncate(1);
    let expected = "{\"version\":\"0.1.0\",\"cluster\":\"00000000000000000000000000000abc\",\"node\":1,\"epoch\":3,\
        \"wall_ms\":1700000000000,\"uptime_ms\":90061500,\"ready\":false,\
        \"not_ready\":[\"node 3 can't be \\\"reached\\\"\"],\"loading\":false,\"shards\":2,\"copies_wanted\":3,\
        \"copies_held\":1,\"copies_voting\":1,\"acknowledged_on_disks\":1,\
        \"nodes\":[{\"id\":1,\"me\":true,\"client\":\"10.0.0.1:6379\",\"peer\":\"10.0.0.1:16379\",\
        \"http\":\"10.0.0.1:8379\",\"linked\":true,\"silent_ms\":0,\"leads\":1,\"copies\":3,\"clock_ahead_ms\":null}],\
        \"groups\":[{\"group\":0,\"name\":\"meta\",\"slots\":[],\"leader\":2,\"term\":2,\"copies\":[\
        {\"node\":1,\"generation\":4,\"voter\":true,\"durable\":null,\"lag\":null},\
        {\"node\":2,\"generation\":4,\"voter\":true,\"durable\":null,\"lag\":null},\
        {\"node\":3,\"generation\":4,\"voter\":true,\"durable\":null,\"lag\":null}],\"own\":null},\
        {\"group\":1,\"name\":\"shard 1\",\"slots\":[[0,8191]],\"leader\":1,\"term\":2,\"copies\":[\
        {\"node\":1,\"generation\":4,\"voter\":true,\"durable\":9,\"lag\":0}],\"own\":{\"leads\":true,\"last\":9,\
        \"committed\":9,\"applied\":8,\"keys\":2,\"memory_bytes\":1000,\"log_bytes\":300}}],\
        \"databases\":[{\"index\":0,\"mode\":\"consistent\",\"keys\":4,\"volatile\":1}],\
        \"disk\":{\"log_bytes\":4096,\"free_bytes\":77,\"degraded\":[\"second\"]},\
        \"machine\":{\"memory_bytes\":3500000,\"memory_total_bytes\":8589934592,\"keyspace_bytes\":1000,\
        \"cpu_user_us\":1500000,\"cpu_system_us\":250001},\
        \"counters\":{\"connections\":5,\"connections_refused\":0,\"commands\":70,\"forwarded\":0,\"bytes_in\":0,\
        \"bytes_out\":0,\"keyspace_hits\":6,\"keyspace_misses\":0,\"expired\":0,\"evicted\":0,\"proposals\":0,\"disk_writes\":0,\
        \"lease_reads\":0,\"round_reads\":0,\"elections_won\":0,\"snapshots_taken\":0,\"snapshots_installed\":0,\
        \"errors_total\":3,\"clients\":1,\"errors\":{\"ERR\":2,\"NOQUORUM\":1}}}";
    assert_eq!(status(&overview), expected);
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let text = metrics(&overview());
    for line in [
        "sihai_info{version=\"0.1.0\",cluster=\"00000000000000000000000000000abc\",node=\"1\"} 1",
        "sihai_ready 0",
        "sihai_uptime_seconds 90061.500",
        "sihai_acknowledged_on_disks 2",
        "sihai_node_linked{node=\"3\"} 0",
        "sihai_node_clock_ahead_seconds{node=\"2\"} -0.002",
        "sihai_group_leads{group=\"1\"} 1",
        "sihai_copy_lag_entries{group=\"1\",node=\"3\"} 2",
        "sihai_database_keys{db=\"0\",mode=\"consistent\"} 4",
        "sihai_commands_total 70",
        "sihai_errors_total{code=\"NOQUORUM\"} 1",
        "sihai_cpu_seconds_total{mode=\"system\"} 0.250001",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("sihai_copy_lag_entries{group=\"2\""), "only a leader knows");
    let mut typed = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(typed.insert(name.to_string(), false).is_none(), "{name} is declared twice");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            *typed.get_mut(name).expect("declared before it is given") = true;
            assert!(line.rsplit(' ').next().is_some_and(|value| value.parse::<f64>().is_ok()), "{line}");
        }
    }
    assert!(typed.values().all(|given| *given), "{typed:?}");
    let mut odd = overview();
    odd.counters.errors = BTreeMap::from([("a\"\\\n".to_string(), 1)]);
    assert!(metrics(&odd).contains("sihai_errors_total{code=\"a\\\"\\\\\\n\"} 1\n"));
}

#[test]
fn addresses_of_all_kinds_are_taken_apart() {
    assert_eq!(split_address("10.0.0.1:6379"), ("10.0.0.1", 6379));
    assert_eq!(split_address("[::1]:6379"), ("::1", 6379));
    assert_eq!(split_address("db.example:1"), ("db.example", 1));
    assert_eq!(split_address(""), ("", 0));
}
