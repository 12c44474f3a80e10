//! The files of the workspace as they lie in the checkout: everything that is text and that `.gitignore` doesn't name.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file and its path from the root of the workspace, with `/` between the parts.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Where it is.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl TextFile {
    /// Whether its name ends with a dot and `extension`.
    pub fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    /// Whether it is all test: in a folder `tests`, or a `tests.rs` beside its module.
    pub fn is_test(&self) -> bool {
        let mut parts = self.path.rsplit('/');
        parts.next() == Some("tests.rs") || parts.any(|folder| folder == "tests")
    }
}

/// The root of the workspace.
///
/// # Panics
/// If this crate isn't two folders below it.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("tidy lies in crates/ of the workspace").to_path_buf()
}

/// The text of the file at `path` from the root.
///
/// # Panics
/// If it isn't there or isn't text: a test that asks for it can't go on.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path} can't be read: {error}"))
}

/// Every text file, ordered by path.
pub fn text_files() -> Vec<TextFile> {
    let ignored = ignored_names();
    let mut files = Vec::new();
    collect(&root(), "", &ignored, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The names of the crates under `crates/`, in order.
pub fn crates() -> Vec<String> {
    let mut names: Vec<String> = entries(&root().join("crates"))
        .into_iter()
        .filter(|path| path.join("Cargo.toml").is_file())
        .filter_map(|path| name_of(&path))
        .collect();
    names.sort();
    names
}

/// What `.gitignore` names; a name there, without a pattern, is one of a folder or a file anywhere.
fn ignored_names() -> Vec<String> {
    let ignore = read(".gitignore");
    let lines = ignore.lines().map(|line| line.trim().trim_matches('/').to_string());
    let named = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    named.chain([".git".to_string()]).collect()
}

fn collect(folder: &Path, prefix: &str, ignored: &[String], files: &mut Vec<TextFile>) {
    for path in entries(folder) {
        let Some(name) = name_of(&path).filter(|name| !ignored.contains(name)) else { continue };
        let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if path.is_dir() {
            collect(&path, &relative, ignored, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            files.push(TextFile { path: relative, text });
        }
    }
}

/// What lies in a folder; nothing, if it went away while we looked.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_string)
}
