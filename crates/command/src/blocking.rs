//! What blocking commands have in common: for how long they wait, and how what they took is given back.

use crate::spec::{Flags, Spec};
use crate::words::{block_seconds, integer, is};
use resp::frame::Frame;

/// For how long a command waits if there is nothing: `None` if it doesn't, `Some(None)` for ever, else milliseconds. Words that can't be
/// right don't wait: the command says what is wrong with them.
pub fn timeout_ms(spec: &Spec, words: &[&[u8]]) -> Option<Option<u64>> {
    if !spec.flags.has(Flags::BLOCKING) {
        return None;
    }
    match spec.name {
        "xread" | "xreadgroup" => {
            // What follows STREAMS are keys and ids.
            let options = words.iter().position(|word| is(word, "streams")).unwrap_or(words.len());
            let at = words[..options].iter().position(|word| is(word, "block"))?;
            let millis = integer(words.get(at + 1)?).ok()?;
            u64::try_from(millis).ok().map(|millis| (millis > 0).then_some(millis))
        }
        "blmpop" | "bzmpop" => block_seconds(words.get(1)?).ok(),
        "blpop" | "brpop" | "blmove" | "brpoplpush" | "bzpopmin" | "bzpopmax" => {
            block_seconds(words.last()?).ok()
        }
        _ => None,
    }
}

/// The command that gives back what a blocking command has taken, by its reply; nothing where nothing is lost (BLMOVE has put it
/// somewhere, XREADGROUP keeps it as pending, XREAD takes nothing).
pub fn give_back(spec: &Spec, words: &[&[u8]], reply: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (reply, _) = Frame::parse(reply).ok()??;
    let push = |left: bool| if left { b"lpush".to_vec() } else { b"rpush".to_vec() };
    match (spec.name, reply.elements()?) {
        ("blpop" | "brpop", [key, element]) => {
            Some(vec![push(spec.name == "blpop"), word(key)?, word(element)?])
        }
        ("blmpop", [key, taken]) => {
            let count = usize::try_from(integer(words.get(2)?).ok()?).ok()?;
            let left = is(words.get(3 + count)?, "left");
            let mut back = vec![push(left), word(key)?];
            // The last that was taken goes back first.
            for element in taken.elements()?.iter().rev() {
                back.push(word(element)?);
            }
            Some(back)
        }
        ("bzpopmin" | "bzpopmax", [key, member, score]) => {
            Some(vec![b"zadd".to_vec(), word(key)?, word(score)?, word(member)?])
        }
        ("bzmpop", [key, taken]) => {
            let mut back = vec![b"zadd".to_vec(), word(key)?];
            for pair in taken.elements()? {
                let [member, score] = pair.elements()? else { return None };
                back.extend([word(score)?, word(member)?]);
            }
            Some(back)
        }
        _ => None,
    }
}

/// A string or a number, as a word of a request.
fn word(frame: &Frame) -> Option<Vec<u8>> {
    match frame {
        Frame::Double(number) => {
            let mut text = Vec::new();
            resp::number::push_double(&mut text, *number);
            Some(text)
        }
        frame => frame.as_bytes().map(<[u8]>::to_vec),
    }
}

#[cfg(test)]
mod tests;
