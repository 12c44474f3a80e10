//! The configuration file: settings that make sense, or a sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use server::config::Options;

fuzz_target!(|text: &str| {
    let options = match Options::from_toml(text) {
        Ok(options) => options,
        Err(error) => return assert!(!error.is_empty()),
    };
    // Names would be looked up, and files read.
    let options = Options { bind: None, cluster_secret_file: None, ..options };
    match options.settle() {
        Ok(settings) => assert!(!settings.dirs.is_empty() && settings.node.clients_max > 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
