//! What people read while a node runs: log lines on stderr, and at the start a few lines that say where everything is.

use crate::config::{ConfigError, LogFormat, Settings};
use node::api::Addresses;
use std::fmt::Write;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging to stderr.
pub fn init(level: &str, format: LogFormat) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        ConfigError(format!(
            "--log-level {level} isn't understood ({error}): say error, warn, info, debug or trace"
        ))
    })?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The last words of a thread that panics, and then the end of the process: a node whose invariants are broken must not
/// go on, and a task's panic would otherwise stay in the task. Only the HTTP thread may lose a request.
pub fn stop_on_panic() {
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        tracing::error!("{panic}");
        if std::thread::current().name() != Some("http") {
            std::process::exit(101);
        }
    }));
}

/// Says where everything is.
pub fn banner(settings: &Settings, addresses: &Addresses, cluster: u128, node: u32) {
    let dirs: Vec<_> = settings.dirs.iter().map(|dir| dir.display().to_string()).collect();
    if settings.log_format == LogFormat::Json {
        tracing::info!(
            version = settings.node.version,
            client = addresses.client,
            peer = addresses.peer,
            http = addresses.http,
            dirs = dirs.join(","),
            cluster = format!("{cluster:032x}"),
            node,
            "sihai starts"
        );
        return;
    }
    let ansi = std::io::stderr().is_terminal();
    let paint =
        |code: &str, text: &str| if ansi { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() };
    let port = addresses.client.rsplit_once(':').map_or("6379", |(_, port)| port);
    let secret = if settings.secret.is_some() { "with the cluster secret" } else { "this machine only" };
    let mut text = String::from("\n");
    let waves = ["  ~  ~~  ~ ", " ~~ ~  ~~  ", "  ~~  ~ ~~ "];
    let title = format!("{} {}", paint("1", "四海 Sihai"), settings.node.version);
    for (wave, line) in waves.iter().zip([title.as_str(), "within the four seas all are kin", ""]) {
        let _ = writeln!(text, "{}  {line}", paint("36", wave));
    }
    for (name, value) in [
        ("clients", format!("{}  (redis-cli -p {port})", addresses.client)),
        ("peers", format!("{}  ({secret})", addresses.peer)),
        ("http", format!("http://{}/status", addresses.http)),
        ("data", dirs.join(", ")),
        ("node", format!("{node} of cluster {cluster:032x}")),
    ] {
        let _ = writeln!(text, "  {}  {value}", paint("2", &format!("{name:>8}")));
    }
    eprintln!("{text}");
}
