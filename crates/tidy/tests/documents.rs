//! What the documents promise a newcomer stays true: the commands at the top, and where the links lead.

use std::path::Path;
use tidy::tree;

/// What a newcomer types, in this order.
const COMMANDS: [&str; 2] = ["cargo run --release -- serve", "cargo test --workspace"];

#[test]
fn both_readmes_open_with_the_same_two_commands() {
    for path in ["README.md", "README.zh-CN.md"] {
        let text = tree::read(path);
        let top: Vec<String> = code_blocks(&text).into_iter().take(2).flatten().collect();
        let commands: Vec<&str> = top
            .iter()
            .filter_map(|line| line.split('#').next())
            .map(str::trim)
            .filter(|l| l.starts_with("cargo"))
            .collect();
        assert_eq!(commands, COMMANDS, "the first blocks of {path}");
        let before = text.lines().position(|line| line.starts_with("```")).unwrap_or(usize::MAX);
        assert!(before < 15, "{path} says too much before the first command");
    }
}

#[test]
fn the_test_command_that_ci_runs_is_the_one_in_the_readme() {
    let text = tree::read("README.md");
    let (_, after) =
        text.split_once("<!-- ci: test -->\n").expect("README.md marks the command that .ci/run runs");
    assert_eq!(code_blocks(after).first().map(|block| block.join("\n")).as_deref(), Some(COMMANDS[1]));
    assert!(tree::read(".ci/run").contains("<!-- ci: test -->"), ".ci/run takes it from there");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = tree::root();
    let mut faults = Vec::new();
    for file in tree::text_files().into_iter().filter(|file| file.has_extension("md")) {
        let folder = root.join(&file.path).parent().map(Path::to_path_buf).unwrap_or_default();
        for target in link_targets(&file.text) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !folder.join(path).exists() {
                faults.push(format!("{} links to {target}, which isn't there", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The lines of every fenced block.
fn code_blocks(text: &str) -> Vec<Vec<String>> {
    let (mut blocks, mut open) = (Vec::new(), None::<Vec<String>>);
    for line in text.lines() {
        match (line.starts_with("```"), open.as_mut()) {
            (true, Some(_)) => blocks.extend(open.take()),
            (true, None) => open = Some(Vec::new()),
            (false, Some(block)) => block.push(line.to_string()),
            (false, None) => {}
        }
    }
    blocks
}

/// What stands in the round brackets of `[…](…)`.
fn link_targets(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}
