use super::{ConfigError, LogFormat, Options, Settings, Size, Time, YesNo};
use clap::{CommandFactory, Parser};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
}

fn options(flags: &[&str]) -> Options {
    Flags::try_parse_from([&["serve"], flags].concat()).expect("these flags are known").options
}

fn settle(flags: &[&str]) -> Result<Settings, ConfigError> {
    options(flags).settle()
}

fn refusal(flags: &[&str]) -> String {
    settle(flags).expect_err("these settings can't be").0
}

/// A file of its own with this content.
fn file(name: &str, content: &str) -> String {
    let path = crate::test_dir("config").join(name);
    std::fs::write(&path, content).expect("the temporary directory can be written");
    path.to_str().expect("its name is text").to_string()
}

#[test]
fn the_flags_are_consistent() {
    crate::cli::Cli::command().debug_assert();
}

#[test]
fn without_flags_one_node_serves_this_machine() {
    let settings = settle(&[]).expect("the defaults make sense");
    assert_eq!(settings.dirs, [PathBuf::from("sihai-data")]);
    assert_eq!(settings.client.to_string(), "127.0.0.1:6379");
    assert_eq!(settings.peer.to_string(), "127.0.0.1:16379");
    assert_eq!(settings.http.to_string(), "127.0.0.1:8379");
    assert!(settings.node.protected_mode && settings.node.shards == 16);
    assert_eq!(settings.node.request_timeout, Duration::from_secs(5));
}

#[test]
fn the_other_ports_follow_the_clients_unless_they_are_given() {
    let settings = settle(&["--port", "7000", "--http-port", "80"]).expect("it makes sense");
    assert_eq!((settings.peer.port(), settings.http.port()), (17_000, 80));
    let settings = settle(&["--port", "0"]).expect("it makes sense");
    assert_eq!((settings.peer.port(), settings.http.port()), (0, 0));
    assert!(refusal(&["--port", "60000"]).contains("--peer-port"));
    assert!(refusal(&["--port", "7000", "--peer-port", "7000"]).contains("7000 was given twice"));
}

#[test]
fn a_flag_counts_more_than_the_file_and_the_file_more_than_the_default() {
    let path = file(
        "sihai.toml",
        "port = 7001\nshards = 4\ndir = [\"a\", \"b\"]\nlease-reads = false\nlog-format = \"json\"\n",
    );
    let settings = settle(&["--config", &path, "--shards", "8"]).expect("it makes sense");
    assert_eq!((settings.client.port(), settings.node.shards), (7001, 8));
    assert_eq!(settings.dirs, [PathBuf::from("a"), PathBuf::from("b")]);
    assert!(!settings.node.lease_reads);
    assert_eq!(settings.log_format, LogFormat::Json);
    let path = file(
        "one.toml",
        "dir = \"only\"\nrequest-timeout = \"2s\"\nsegment-bytes = 1048576\nprotected-mode = \"no\"\n",
    );
    let settings = settle(&["--config", &path]).expect("it makes sense");
    assert_eq!(settings.dirs, [PathBuf::from("only")]);
    assert_eq!(settings.node.request_timeout, Duration::from_secs(2));
    assert_eq!(settings.segment_bytes, 1 << 20);
    assert!(!settings.node.protected_mode);
}

#[test]
fn what_a_file_says_wrong_is_named() {
    let refused = |content| refusal(&["--config", &file("wrong.toml", content)]);
    assert!(refused("prot = 7000\n").contains("prot"), "{}", refused("prot = 7000\n"));
    assert!(refused("request-timeout = \"soon\"\n").contains("300ms, 5s"));
    assert!(refused("port = 70000\n").contains("0 (any free one) to 65535"));
    assert!(refused("port = = 1\n").contains("line 1"), "{}", refused("port = = 1\n"));
    assert!(refusal(&["--config", "there/is/none.toml"]).contains("there/is/none.toml can't be read"));
}

#[test]
fn off_loopback_a_secret_is_required() {
    assert!(refusal(&["--bind", "0.0.0.0"]).contains("off loopback a cluster secret is required"));
    assert!(refusal(&["--bind", "::"]).contains("off loopback a cluster secret is required"));
    let secret = file("secret", "correct horse battery staple\n");
    let settings = settle(&["--bind", "0.0.0.0", "--cluster-secret-file", &secret]).expect("it makes sense");
    assert!(settings.secret.is_some());
    assert!(!format!("{settings:?}").contains("horse"));
    assert!(refusal(&["--cluster-secret-file", &file("short", "hush\n")]).contains("4 bytes"));
    assert!(refusal(&["--cluster-secret-file", "nowhere"]).contains("nowhere can't be read"));
}

#[test]
fn others_are_told_an_address_that_they_can_use() {
    let here: IpAddr = "10.1.2.3".parse().expect("an address");
    let told = |flags: &[&str]| settle(flags).expect("it makes sense").addresses(1, 2, 3, here).client;
    let secret = file("secret", "correct horse battery staple");
    let secret = ["--cluster-secret-file", &secret];
    assert_eq!(told(&[]), "127.0.0.1:1");
    assert_eq!(told(&["--bind", "::1"]), "[::1]:1");
    assert_eq!(told(&[&secret[..], &["--bind", "0.0.0.0"]].concat()), "10.1.2.3:1");
    assert_eq!(told(&["--advertise", "db.example"]), "db.example:1");
    assert!(refusal(&["--advertise", "0.0.0.0"]).contains("--advertise"));
}

#[test]
fn settings_that_would_hurt_are_refused_with_a_reason() {
    assert!(refusal(&["--heartbeat-interval", "200ms"]).contains("--election-timeout (300 ms)"));
    assert!(refusal(&["--shards", "0"]).contains("16384"));
    assert!(refusal(&["--join", "10.0.0.1"]).contains("HOST:PEERPORT"));
    assert!(refusal(&["--tls-cert-file", "x"]).contains("TLS comes in a later release"));
    assert!(refusal(&["--clock-drift-permille", "500"]).contains("leases"));
}

#[test]
fn values_are_written_as_people_write_them() {
    let time = |text: &str| text.parse::<Time>().map(|time| time.0.as_millis());
    assert_eq!((time("300ms"), time("5s"), time("2m")), (Ok(300), Ok(5_000), Ok(120_000)));
    assert!(time("5").is_err() && time("s").is_err() && time("99999999999999999999s").is_err());
    let size = |text: &str| text.parse::<Size>().map(|size| size.0);
    assert_eq!((size("17"), size("64mb"), size("1 GB")), (Ok(17), Ok(64 << 20), Ok(1 << 30)));
    assert!(size("lots").is_err());
    assert_eq!("No".parse::<YesNo>(), Ok(YesNo(false)));
    assert!("perhaps".parse::<YesNo>().is_err());
    let service = "tcp://10.0.0.1:6379".parse::<super::Port>().expect_err("that is no port");
    assert!(service.contains("enableServiceLinks"));
}
