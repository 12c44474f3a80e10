//! `sihai check`: what is in the directories of a node that isn't running, for people.

use crate::disk::RealDisk;
use std::path::PathBuf;
use storage::check::{CheckReport, GroupReport};

/// Verifies the directories and prints what is found; whether all is well. The error is a sentence.
pub fn run(dirs: &[PathBuf]) -> Result<bool, String> {
    if let Some(missing) = dirs.iter().find(|dir| !dir.is_dir()) {
        return Err(format!("{} is no directory", missing.display()));
    }
    let report =
        storage::check::check(dirs.iter().map(RealDisk::new).collect()).map_err(|error| error.to_string())?;
    print!("{}", render(&report));
    Ok(report.is_sound())
}

fn render(report: &CheckReport) -> String {
    let mut lines = Vec::new();
    lines.push(match report.faults.len() {
        0 => "Everything is as it was written.".to_string(),
        1 => "Something is wrong:".to_string(),
        count => format!("{count} things are wrong:"),
    });
    lines.extend(report.faults.iter().map(|fault| format!("  - {fault}")));
    lines.push(String::new());
    lines.push(match &report.identity {
        Some(identity) => format!("node {} of cluster {:032x}", identity.node, identity.cluster),
        None => "nobody's directory yet".to_string(),
    });
    lines.push(format!("directories  {}", report.mirrors.join(", ")));
    if !report.degraded.is_empty() {
        lines.push(format!("degraded     {}", report.degraded.join(", ")));
    }
    lines.push(format!(
        "log          {} segments, {} bytes, {} batches, {} records",
        report.segments, report.log_bytes, report.batches, report.records
    ));
    lines.extend(report.groups.iter().map(|(group, copy)| format!("{group:<12} {}", render_copy(copy))));
    lines.join("\n") + "\n"
}

fn render_copy(copy: &GroupReport) -> String {
    let mut text = format!("replica {}, term {}, ", copy.replica, copy.term.0);
    text += &match copy.snapshot {
        Some((index, chunks, bytes)) => format!("snapshot at {} ({chunks} chunks, {bytes} bytes), ", index.0),
        None => "no snapshot, ".to_string(),
    };
    text += &match copy.last >= copy.first {
        true => format!("entries {}..={}", copy.first.0, copy.last.0),
        false => "no entries behind it".to_string(),
    };
    if copy.doubt.is_some() {
        text += ", tail in doubt";
    }
    if let Some(why) = &copy.damaged {
        text += &format!(", DAMAGED: {why}");
    }
    text
}
