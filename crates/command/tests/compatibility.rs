//! `docs/compatibility.md` says what the table says.

use std::path::Path;

const BEGINS: &str =
    "<!-- from the command table: COMPATIBILITY=write cargo test -p command --test compatibility -->\n\n";
const ENDS: &str = "\n<!-- end of what comes from the command table -->";

#[test]
#[allow(clippy::disallowed_methods, reason = "the document is written where a person asks for it")]
fn the_document_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let text = std::fs::read_to_string(&path).expect("the document is there");
    let (before, rest) = text.split_once(BEGINS).expect("the table has its place");
    let (found, after) = rest.split_once(ENDS).expect("the table has its end");
    let wanted = command::compatibility::document();
    if std::env::var_os("COMPATIBILITY").is_some_and(|value| value == "write") {
        std::fs::write(&path, format!("{before}{BEGINS}{wanted}{ENDS}{after}"))
            .expect("the document is written");
        return;
    }
    assert!(found == wanted, "the command table has changed: write the document anew, its comment says how");
}
