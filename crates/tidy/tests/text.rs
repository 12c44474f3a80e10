//! What is written in no file, and what stands in every one.

use tidy::source::{calls_macro, code_of};
use tidy::tree::{self, TextFile};

/// Folders of the machine on which something was written; no reader has them. In two halves, so that this file
/// doesn't say them either.
const MACHINE_FOLDERS: &[(&str, &str)] =
    &[("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/tm", "p/"), ("/Use", "rs/")];

/// Macros that say that something isn't finished.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

#[test]
fn lines_end_where_they_end_and_are_indented_with_spaces() {
    let checked =
        |file: &TextFile| ["rs", "toml", "md", "py", "sh"].iter().any(|kind| file.has_extension(kind));
    report(tree::text_files().iter().filter(|file| checked(file)), |line| {
        if line.contains('\t') {
            Some("a tab".to_string())
        } else if line.ends_with(char::is_whitespace) {
            Some("white space at its end".to_string())
        } else {
            None
        }
    });
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    let folders: Vec<String> = MACHINE_FOLDERS.iter().map(|(head, tail)| format!("{head}{tail}")).collect();
    report(tree::text_files().iter(), |line| {
        folders
            .iter()
            .find(|folder| names_absolute(line, folder))
            .map(|folder| format!("the folder {folder}"))
    });
}

#[test]
fn nothing_is_left_unfinished() {
    let mut faults = Vec::new();
    for file in tree::text_files().iter().filter(|file| file.is_rust()) {
        for (number, line) in (1..).zip(code_of(&file.text).lines()) {
            for name in UNFINISHED.iter().filter(|name| calls_macro(line, name)) {
                faults.push(format!("{}:{number} calls {name}!", file.path));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let silent: Vec<_> = tree::text_files()
        .into_iter()
        .filter(|file| file.is_rust() && !file.is_test())
        .filter(|file| !file.text.trim_start().starts_with("//! "))
        .map(|file| file.path)
        .collect();
    assert!(silent.is_empty(), "these don't open with `//! ` and a sentence:\n{}", silent.join("\n"));
}

/// Fails with every line in which `fault` sees one.
fn report<'a>(files: impl Iterator<Item = &'a TextFile>, fault: impl Fn(&str) -> Option<String>) {
    let mut faults = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.split_terminator('\n')) {
            faults.extend(fault(line).map(|what| format!("{}:{number} has {what}", file.path)));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Whether `line` has `folder` as the beginning of a path, not in the middle of one.
fn names_absolute(line: &str, folder: &str) -> bool {
    let inside_a_path = |before: char| before.is_alphanumeric() || "._-~}/".contains(before);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(inside_a_path))
}
