//! The binary: parses the command line, runs the command, and says how it went: 0 well, 1 not, 2 not understood, 3 well
//! but for something that was named.

use clap::Parser;
use server::cli::{Cli, Command};
use server::{check, export, import, logging, serve, status};
use std::process::ExitCode;

/// The engine allocates for every key and every batch of replies: a tenth of its time with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => match options.settle() {
            Ok(settings) => match logging::init(&settings.log_level, settings.log_format) {
                Ok(()) => {
                    logging::stop_on_panic();
                    finish(serve::run(settings).map(|()| true))
                }
                Err(error) => misunderstood(&error.to_string()),
            },
            Err(error) => misunderstood(&error.to_string()),
        },
        Command::Status(arguments) => finish(status::run(&arguments).map(|()| true)),
        Command::Import(arguments) => match import::run(&arguments) {
            Ok(import::Ending::Incomplete) => ExitCode::from(3),
            ended => finish(ended.map(|_| true)),
        },
        Command::Export(arguments) => finish(export::run(&arguments).map(|()| true)),
        Command::Check(arguments) => finish(check::run(&arguments.dir)),
        Command::Version => {
            println!(
                "sihai {} ({}, {})",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::ARCH,
                std::env::consts::OS
            );
            println!("protocol between nodes: version {}", server::handshake::VERSION);
            println!("built with debug assertions: {}", if cfg!(debug_assertions) { "yes" } else { "no" });
            ExitCode::SUCCESS
        }
    }
}

fn finish(result: Result<bool, String>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("sihai: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn misunderstood(sentence: &str) -> ExitCode {
    eprintln!("sihai: {sentence}");
    ExitCode::from(2)
}
