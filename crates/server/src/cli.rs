//! What a person can ask of `sihai` on the command line.

use crate::config::Options;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A distributed database that keeps its word, and speaks the Redis protocol.
#[derive(Debug, Parser)]
#[command(name = "sihai", version, max_term_width = 110, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a node: without flags, one on 127.0.0.1:6379 that keeps its data in ./sihai-data.
    ///
    /// Every flag can also be given by environment (SIHAI_ and its name: SIHAI_PEER_PORT) or in the TOML file of
    /// --config (peer-port = 16379). A flag counts more than the environment, the environment more than the file.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<Options>),
    /// Shows how a cluster is, as one of its nodes sees it.
    Status(Status),
    /// Verifies the files of a node that isn't running, and changes nothing.
    Check(Check),
    /// Brings in the keys of a Redis file (dump.rdb), or of a running Redis, while the cluster serves.
    ///
    /// Files of Redis 2.8 to 8 are read, with all types of value, times to live and databases. Each key is written like any other
    /// write: acknowledged keys are on disk on a majority. An interrupted import of a file goes on when the same command is given again.
    ///
    /// It ends with 0 if all is in, with 3 if all is in but something that Sihai can't hold (values of modules, for example), which
    /// is named, and with 1 if it isn't complete: then it says why, and what to do.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Box<Import>),
    /// Writes all keys of a cluster into a file that Redis reads, while the cluster serves.
    ///
    /// Every shard is in it as of one moment after the export began; until transactions over several shards exist, that isn't the
    /// same moment for all. The file appears under its name only when it is whole and on the disk.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Export),
    /// Prints the version, and what was built.
    Version,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  sihai serve
  sihai serve --port 6380 --dir second --join 127.0.0.1:16379
  sihai serve --bind 10.0.0.2 --cluster-secret-file secret --join 10.0.0.1:16379 --dir /disk1 --dir /disk2";

const IMPORT_EXAMPLES: &str = "\
Examples:
  sihai import dump.rdb
  sihai import dump.rdb --addr 10.0.0.1:6379 --password-file secret --skip-existing
  sihai import --from redis://10.0.0.9:6379
  sihai import --from redis://10.0.0.9:6379/3 --into 0 --follow";

const EXPORT_EXAMPLES: &str = "\
Examples:
  sihai export dump.rdb
  sihai export --addr 10.0.0.1:6379 --password-file secret --rdb-version 10 for-redis-7.0.rdb";

/// What `sihai status` needs to know.
#[derive(Args, Debug)]
pub struct Status {
    /// Where clients reach the node: HOST:PORT.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379", env = "SIHAI_ADDR")]
    pub addr: String,
    /// The password, if one is set; better given by the environment.
    #[arg(long, value_name = "PASSWORD", env = "SIHAI_AUTH", hide_env_values = true)]
    pub auth: Option<String>,
    /// Everything, as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `sihai check` needs to know.
#[derive(Args, Debug)]
pub struct Check {
    /// The node's directories; all of them, if it keeps mirrors.
    #[arg(long, value_name = "DIR", required = true, env = "SIHAI_DIR", value_delimiter = ',')]
    pub dir: Vec<PathBuf>,
}

/// What `sihai import` needs to know.
#[derive(Args, Debug)]
pub struct Import {
    /// The file.
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    pub file: Option<PathBuf>,
    /// A running Redis: redis://HOST, redis://USER@HOST:PORT/DB or anything between. It is asked for everything it has, as a replica
    /// asks, so the copy is of one moment. Its password comes from --from-password-file, or from SIHAI_FROM_AUTH in the environment.
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// The password for the Redis of --from, in a file.
    #[arg(long, value_name = "FILE", requires = "from")]
    pub from_password_file: Option<PathBuf>,
    /// Then carries over what changes there, until Ctrl-C.
    #[arg(long, requires = "from", conflicts_with = "dry_run")]
    pub follow: bool,
    /// Into which node: HOST:PORT. Any node of a cluster will do.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379", env = "SIHAI_ADDR")]
    pub addr: String,
    /// As which user.
    #[arg(long, value_name = "USER", env = "SIHAI_USER")]
    pub user: Option<String>,
    /// The password, in a file; otherwise SIHAI_AUTH in the environment.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Keys that exist are replaced. Unless this or --skip-existing is given, the first of them ends the import, and is named.
    #[arg(long, conflicts_with = "skip_existing")]
    pub replace: bool,
    /// Keys that exist are kept.
    #[arg(long)]
    pub skip_existing: bool,
    /// Only the keys of this database.
    #[arg(long, value_name = "N")]
    pub db: Option<u64>,
    /// All keys go into this database, instead of the one that they come from.
    #[arg(long, value_name = "N")]
    pub into: Option<u64>,
    /// Where it is noted how far the import is; otherwise beside the file, as FILE.sihai-import. It is gone when all is in.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub state: Option<PathBuf>,
    /// Begins anew, whatever is noted of an earlier import.
    #[arg(long, conflicts_with = "from")]
    pub restart: bool,
    /// Reads and checks everything, and sends nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How many connections carry keys.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub connections: u8,
}

/// What `sihai export` needs to know.
#[derive(Args, Debug)]
pub struct Export {
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// From which node: HOST:PORT. It must have a copy of every shard.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379", env = "SIHAI_ADDR")]
    pub addr: String,
    /// As which user.
    #[arg(long, value_name = "USER", env = "SIHAI_USER")]
    pub user: Option<String>,
    /// The password, in a file; otherwise SIHAI_AUTH in the environment.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Who shall read it: 10, Redis 7.0 and later, without when consumers of streams last got something; 11, Redis 7.2 and later; 12,
    /// Redis 7.4 and later, needed where fields of hashes expire. Sihai reads all of them.
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u16).range(10..=12))]
    pub rdb_version: u16,
    /// Replaces the file if it exists.
    #[arg(long)]
    pub overwrite: bool,
}
