//! What keeps the cores pure: the compiler where it can (`no_std`), clippy's bans where it can't.

use std::fs;
use tidy::source::code_of;
use tidy::tree;

/// The crates whose purity the compiler proves.
const NO_STD: &[&str] = &["base", "resp", "routing", "raft", "twophase"];

/// The crates that read the world for a living, and so have a clippy.toml of their own.
const EXEMPT_FROM_BANS: &[&str] = &["server", "tidy"];

#[test]
fn the_compiler_proves_that_the_protocol_cores_do_no_io() {
    let mut faults = Vec::new();
    for name in NO_STD {
        let code = code_of(&tree::read(&format!("crates/{name}/src/lib.rs")));
        for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
            if !code.lines().any(|line| line.trim() == attribute) {
                faults.push(format!("crates/{name}/src/lib.rs doesn't say {attribute}"));
            }
        }
        if lets_std_in(&code) {
            faults.push(format!("crates/{name}/src/lib.rs takes std in outside its tests"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_core_escapes_the_bans_on_clocks_threads_and_chance() {
    let with_own_rules: Vec<String> = tree::crates()
        .into_iter()
        .filter(|name| {
            [".clippy.toml", "clippy.toml"].iter().any(|file| exists(&format!("crates/{name}/{file}")))
        })
        .collect();
    assert_eq!(with_own_rules, EXEMPT_FROM_BANS, "these crates set clippy's rules of the workspace aside");

    let bans = tree::read("clippy.toml");
    for banned in
        ["Instant::now", "SystemTime::now", "thread::spawn", "thread::sleep", "RandomState", "HashMap"]
    {
        assert!(bans.contains(banned), "clippy.toml no longer bans {banned}");
    }
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    for name in tree::crates() {
        let manifest: toml::Table =
            tree::read(&format!("crates/{name}/Cargo.toml")).parse().expect("it is TOML");
        let inherited =
            manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(|on| on.as_bool());
        assert_eq!(inherited, Some(true), "crates/{name}/Cargo.toml lacks `[lints] workspace = true`");
    }
}

/// Whether `extern crate std` stands there without a condition: tests may have it, and so may features for tests.
fn lets_std_in(code: &str) -> bool {
    let mut before = "";
    for line in code.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("extern crate std") && !before.starts_with("#[cfg(") {
            return true;
        }
        before = line;
    }
    false
}

fn exists(path: &str) -> bool {
    fs::exists(tree::root().join(path)).unwrap_or(false)
}
