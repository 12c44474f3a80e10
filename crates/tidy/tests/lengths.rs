//! Files stay readable in one sitting, and functions in one look. The longest of each is recorded here, and the
//! record only falls: longer is refused, and so is a record that is no longer needed.

use tidy::source::{code_of, functions, without_test_modules};
use tidy::tree;

/// How long the longest may be today, and where we want to be.
struct Record {
    what: &'static str,
    /// Nothing may be longer. Lower it whenever the test asks for it; never raise it: split what is too long.
    lines_max: usize,
    /// What we aim for: the record needn't fall below it.
    lines_wanted: usize,
    /// By how much the record may exceed what is needed, so that not every shortened line asks for a change here.
    slack: usize,
}

const FILES: Record = Record { what: "file", lines_max: 700, lines_wanted: 600, slack: 100 };
const FUNCTIONS: Record = Record { what: "function", lines_max: 90, lines_wanted: 70, slack: 20 };

/// Something with a length, and where it is.
type Measured = (usize, String);

#[test]
fn no_file_is_longer_than_one_sitting() {
    check(&FILES, measure().0);
}

#[test]
fn no_function_is_longer_than_one_look() {
    check(&FUNCTIONS, measure().1);
}

/// The lines of every file and of every function, without tests.
fn measure() -> (Vec<Measured>, Vec<Measured>) {
    let (mut of_files, mut of_functions) = (Vec::new(), Vec::new());
    for file in tree::text_files().into_iter().filter(|file| file.is_rust() && !file.is_test()) {
        let (code, test_lines) = without_test_modules(&code_of(&file.text));
        of_files.push((code.lines().count() - test_lines, file.path.clone()));
        for function in functions(&code) {
            of_functions.push((function.lines, format!("{}:{} {}", file.path, function.line, function.name)));
        }
    }
    (of_files, of_functions)
}

fn check(record: &Record, mut measured: Vec<Measured>) {
    measured.sort_by(|a, b| b.cmp(a));
    let Some(longest) = measured.first().map(|(lines, _)| *lines) else {
        panic!("there is no {}", record.what)
    };
    let listed = |measured: &[Measured]| {
        measured.iter().map(|(lines, place)| format!("  {lines:5}  {place}\n")).collect::<String>()
    };
    println!("the longest {}s:\n{}", record.what, listed(&measured[..measured.len().min(8)]));

    let too_long = measured.partition_point(|(lines, _)| *lines > record.lines_max);
    assert!(
        too_long == 0,
        "a {} may have {} lines; split these:\n{}",
        record.what,
        record.lines_max,
        listed(&measured[..too_long])
    );
    let needed = longest.max(record.lines_wanted);
    assert!(
        record.lines_max <= needed + record.slack,
        "the longest {} has {longest} lines: lower the record in this test from {} to {needed}",
        record.what,
        record.lines_max
    );
}
