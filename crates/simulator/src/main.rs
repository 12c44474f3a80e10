//! Runs seeds: one (`--seed`), new ones for a while (`soak`), or as many as fit, each twice (`ci`). Whatever is found is
//! told with the one command that shows it again. It is the only part of the simulator that reads a clock.

use clap::{Args, Parser, Subcommand};
use node::Node;
use simulator::faults::Style;
use simulator::run::{self, Outcome};
use simulator::seed::Seed;
use simulator::world::Settings;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs Sihai's nodes in worlds made from seeds, in which everything breaks, and checks that they keep their word.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The seed to run: a number, or a commit's hash.
    #[arg(long)]
    seed: Option<Seed>,
    /// Tell the story as it happens.
    #[arg(long, short)]
    verbose: bool,
    /// What goes wrong mostly, instead of what the seed says: mixed, falling-leaders, new-leaders, restarts,
    /// paused-leaders, power-losses, replacements, rotten-tails, wrong-clocks.
    #[arg(long, value_parser = style)]
    style: Option<Style>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs new seeds for a while; anything found ends it.
    Soak(Span),
    /// Runs as many seeds as fit, each twice, and says how many.
    Ci(Span),
}

#[derive(Args)]
struct Span {
    /// For how long.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// The first seed: a number, or a commit's hash. Without it, the time of day is taken.
    #[arg(long)]
    from: Option<Seed>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match (cli.command, cli.seed) {
        (Some(Command::Soak(span)), _) => many(&span, false),
        (Some(Command::Ci(span)), _) => many(&span, true),
        (None, Some(Seed(seed))) => one(seed, cli.verbose, cli.style),
        (None, None) => {
            eprintln!("say which seed to run (--seed N), or soak or ci to run many; --help tells more");
            ExitCode::from(2)
        }
    }
}

fn style(name: &str) -> Result<Style, String> {
    let found = Style::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, style)| *style).ok_or_else(|| format!("{name} is no style of worlds"))
}

fn one(seed: u64, verbose: bool, style: Option<Style>) -> ExitCode {
    let mut settings = Settings { verbose, ..run::settings(seed) };
    settings.style = style.unwrap_or(settings.style);
    let outcome = run::run_world::<Node>(settings);
    println!("trace {:016x}", outcome.trace);
    if verbose {
        eprintln!("{}", outcome.size);
    }
    report(seed, &outcome)
}

/// Says what was found, if anything was.
fn report(seed: u64, outcome: &Outcome) -> ExitCode {
    if outcome.findings.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("seed {seed}: {}", outcome.size);
    eprintln!("what went wrong in it, at last:");
    outcome.story.iter().for_each(|line| eprintln!("  {line}"));
    outcome.findings.iter().for_each(|finding| eprintln!("found by {finding}"));
    eprintln!("to see it again: cargo run --release -p simulator -- --seed {seed} --verbose");
    ExitCode::FAILURE
}

#[expect(clippy::disallowed_methods, reason = "how long to go on is the caller's time, not the world's")]
fn many(span: &Span, twice: bool) -> ExitCode {
    let started = Instant::now();
    let first = span.from.unwrap_or_else(Seed::of_this_moment).0;
    let (mut seeds, mut size) = (0u64, run::Size::default());
    let mut longest = Duration::ZERO;
    loop {
        let seed = first.wrapping_add(seeds);
        let before = Instant::now();
        let outcome = run::run::<Node>(seed, false);
        if report(seed, &outcome) != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
        if twice && run::run::<Node>(seed, false).trace != outcome.trace {
            eprintln!(
                "seed {seed} ran differently the second time: something in it isn't drawn from the seed"
            );
            eprintln!("to see it again: cargo run --release -p simulator -- --seed {seed}, twice");
            return ExitCode::FAILURE;
        }
        seeds += 1;
        size += outcome.size;
        longest = longest.max(before.elapsed());
        // The next one must fit as well.
        if started.elapsed() + longest > Duration::from_secs(span.seconds) {
            break;
        }
    }
    let times = if twice { ", each twice with the same trace" } else { "" };
    println!("{seeds} seeds from {first}{times}, nothing found: {size}");
    ExitCode::SUCCESS
}
