//! Reads Rust source as a lexer does, so that a brace in a string or a `todo!` in a comment counts for nothing.
//! Text keeps its lines throughout: what is blanked becomes spaces.

use std::ops::Range;

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// How many lines it takes from there to its closing brace.
    pub lines: usize,
}

/// `text` with its comments and the insides of its literals blanked out.
pub fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(end) = end_of_comment_or_literal(text, at) {
            blank(&mut code, at..end);
            at = end;
        } else if is_word(bytes[at]) {
            at = end_of_word(bytes, at);
        } else {
            at += 1;
        }
    }
    String::from_utf8(code).expect("whole characters were blanked")
}

/// `code` with its test modules (`#[cfg(test)] mod … { … }`) blanked out, and how many lines they took.
pub fn without_test_modules(code: &str) -> (String, usize) {
    let mut bytes = code.as_bytes().to_vec();
    let mut test_lines = 0;
    let mut offset = 0;
    let mut after_test_attribute = None;
    for line in code.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with("#[cfg(") && trimmed.contains("test") {
            after_test_attribute = Some(offset);
        } else if let Some(start) = after_test_attribute.filter(|_| !trimmed.starts_with("#[")) {
            after_test_attribute = None;
            let opens_module =
                trimmed.trim_start_matches("pub ").starts_with("mod ") && trimmed.ends_with('{');
            if let Some(end) = opens_module.then(|| end_of_block(code.as_bytes(), offset)).flatten() {
                test_lines += lines_in(&code[start..end]);
                blank(&mut bytes, start..end);
            }
        }
        offset += line.len();
    }
    (String::from_utf8(bytes).expect("whole characters were blanked"), test_lines)
}

/// The functions with a body in `code`, as they come; one in another's body is listed, and counts for both.
pub fn functions(code: &str) -> Vec<Function> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let end = end_of_word(bytes, at);
        if &bytes[at..end] == b"fn" {
            found.extend(function_at(code, at, end));
        }
        at = end;
    }
    found
}

/// Whether `code` calls the macro `name`.
pub fn calls_macro(code: &str, name: &str) -> bool {
    let call = format!("{name}!");
    code.match_indices(&call).any(|(at, _)| at == 0 || !is_word(code.as_bytes()[at - 1]))
}

fn function_at(code: &str, start: usize, after_keyword: usize) -> Option<Function> {
    let bytes = code.as_bytes();
    let name_start = after_keyword + bytes[after_keyword..].iter().take_while(|byte| **byte == b' ').count();
    let name_end = end_of_word(bytes, name_start);
    // `fn(` is a type, and `fn $name` is a macro's.
    if name_start == after_keyword || name_start == name_end {
        return None;
    }
    let end = end_of_block(bytes, name_end)?;
    Some(Function {
        name: code[name_start..name_end].to_string(),
        line: lines_in(&code[..start]),
        lines: lines_in(&code[start..end]),
    })
}

/// Just after the brace that closes the first block from `at` on; `None` if a `;` ends the item before a block opens.
fn end_of_block(bytes: &[u8], at: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (offset, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(offset + 1);
                }
            }
            b';' if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Where the comment or literal that starts at `at` ends, if one starts there.
fn end_of_comment_or_literal(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let rest = &text[at..];
    if rest.starts_with("//") {
        return Some(at + rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(end_of_block_comment(bytes, at));
    }
    match bytes[at] {
        b'"' => Some(end_of_string(bytes, at)),
        b'\'' => end_of_char(text, at),
        b'r' | b'b' | b'c' => end_of_raw_string(text, at),
        _ => None,
    }
}

fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character ends with a quote after one character or an escape; anything else after a quote is a lifetime.
fn end_of_char(text: &str, start: usize) -> Option<usize> {
    let inside = &text[start + 1..];
    if inside.starts_with('\\') {
        return inside.get(2..)?.find('\'').map(|length| start + 1 + 2 + length + 1);
    }
    let first = inside.chars().next()?;
    inside[first.len_utf8()..].starts_with('\'').then(|| start + 1 + first.len_utf8() + 1)
}

/// `r"…"`, `r#"…"#` and their byte and C kin; `r#name` is a word, not a literal.
fn end_of_raw_string(text: &str, start: usize) -> Option<usize> {
    let rest = &text[start..];
    let after_prefix =
        rest.strip_prefix("br").or_else(|| rest.strip_prefix("cr")).or_else(|| rest.strip_prefix('r'))?;
    let hashes = after_prefix.len() - after_prefix.trim_start_matches('#').len();
    let inside = after_prefix[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&close).map_or(inside.len(), |length| length + close.len());
    Some(text.len() - inside.len() + length)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|byte| is_word(**byte)).count()
}

fn blank(bytes: &mut [u8], range: Range<usize>) {
    for byte in bytes[range].iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

fn lines_in(text: &str) -> usize {
    text.matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::{calls_macro, code_of, functions, without_test_modules};

    fn names_and_lines(text: &str) -> Vec<(String, usize, usize)> {
        functions(&code_of(text)).into_iter().map(|f| (f.name, f.line, f.lines)).collect()
    }

    #[test]
    fn braces_in_comments_and_literals_are_no_braces() {
        let text = "fn a() {\n    // }\n    /* } /* } */ } */\n    let _ = ('}', '\\'', \"}\\\"}\", r#\"}\"}\"#, b'}');\n}\nfn b() {}\n";
        assert_eq!(names_and_lines(text), [("a".into(), 1, 5), ("b".into(), 6, 1)]);
    }

    #[test]
    fn a_lifetime_is_not_an_open_character() {
        let text = "fn a<'x>(text: &'x str) -> &'x str {\n    text\n}\nfn b() { let _ = '{'; }\n";
        assert_eq!(names_and_lines(text), [("a".into(), 1, 3), ("b".into(), 4, 1)]);
    }

    #[test]
    fn a_declaration_and_a_function_type_have_no_length() {
        let text = "trait T {\n    fn a(x: [u8; 4]) -> [u8; 4];\n    fn b(f: fn(u8) -> u8) {\n    }\n}\n";
        assert_eq!(names_and_lines(text), [("b".into(), 3, 2)]);
    }

    #[test]
    fn test_modules_are_taken_out_and_what_follows_stays() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
        let (code, test_lines) = without_test_modules(&code_of(text));
        assert_eq!(test_lines, 4);
        assert_eq!(code.lines().count(), text.lines().count());
        let left: Vec<_> = functions(&code).into_iter().map(|f| (f.name, f.line)).collect();
        assert_eq!(left, [("a".into(), 1), ("c".into(), 6)]);
    }

    #[test]
    fn macros_are_found_in_code_and_nowhere_else() {
        assert!(calls_macro(&code_of("fn a() { todo!() }"), "todo"));
        assert!(!calls_macro(&code_of("// todo!()\nfn a() { not_todo!(\"todo!\") }"), "todo"));
    }
}
