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
    /// Prints the version, and what was built.
    Version,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  sihai serve
  sihai serve --port 6380 --dir second --join 127.0.0.1:16379
  sihai serve --bind 10.0.0.2 --cluster-secret-file secret --join 10.0.0.1:16379 --dir /disk1 --dir /disk2";

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
