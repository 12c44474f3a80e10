//! LOLWUT: a small drawing, and the release that drew it. The four seas, after which Sihai is named, each with its own swell.

use crate::error::Error;
use crate::words::{integer, is};
use std::fmt::Write;

/// How wide it may be asked for.
const COLUMNS_MAX: usize = 160;
const COLUMNS: usize = 48;
/// How far apart the waves of each sea are, and how each row moves them.
const SEAS: [(usize, usize); 4] = [(13, 3), (8, 5), (11, 2), (6, 1)];
const ROWS_OF_A_SEA: usize = 2;

/// The drawing that these words ask for: `LOLWUT [VERSION version] [columns]`.
pub fn draw(words: &[&[u8]], release: &str) -> Result<String, Error> {
    let options = match words.get(1..).unwrap_or_default() {
        // There is one drawing, whichever version is asked for.
        [version, number, rest @ ..] if is(version, "version") => {
            integer(number)?;
            rest
        }
        options => options,
    };
    let columns = match options {
        [] => COLUMNS,
        [columns, ..] => usize::try_from(integer(columns)?).unwrap_or(0).clamp(1, COLUMNS_MAX),
    };
    let mut drawing = String::new();
    for (row, (length, shift)) in SEAS.iter().flat_map(|sea| [sea; ROWS_OF_A_SEA]).enumerate() {
        drawing.extend((0..columns).map(|column| crest((column + row * shift) % length, *length)));
        drawing.push('\n');
    }
    // Writing to a string can't fail.
    let _ = write!(drawing, "\nWithin the four seas all are brothers. Sihai ver. {release}\n");
    Ok(drawing)
}

/// One character of a wave, by where it is in it.
fn crest(at: usize, length: usize) -> char {
    match at {
        0 => '/',
        1 => '\\',
        _ if at < length / 2 => '_',
        _ => '~',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_as_wide_as_was_asked_for_and_names_its_release() {
        for (request, columns) in [
            ("LOLWUT", 48),
            ("LOLWUT VERSION 5", 48),
            ("lolwut version 5 20", 20),
            ("LOLWUT 7 x", 7),
            ("LOLWUT 1000000000", 160),
            ("LOLWUT -1", 1),
        ] {
            let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
            let drawing = draw(&words, "1.2.3").expect(request);
            let rows: Vec<&str> = drawing.lines().take_while(|row| !row.is_empty()).collect();
            assert_eq!(rows.len(), 8, "{request}");
            assert!(rows.iter().all(|row| row.len() == columns), "{request}");
            assert!(drawing.ends_with("Sihai ver. 1.2.3\n"), "{request}");
        }
        for request in ["LOLWUT x", "LOLWUT VERSION x"] {
            let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
            assert_eq!(draw(&words, "1"), Err(Error::NotAnInteger), "{request}");
        }
    }
}
