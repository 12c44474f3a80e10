//! MONITOR: clients that are shown every command that this node's clients send, as Redis shows it. Other nodes' clients are theirs.
//! Passwords are left out, and so are commands for administrators.

use crate::api::ClientId;
use crate::node::Node;
use command::{Flags, Spec};
use std::fmt::Write;

/// What is shown in the place of a secret.
const REDACTED: &[u8] = b"(redacted)";

/// Parameters of CONFIG that are secrets.
const SECRETS: [&str; 2] = ["requirepass", "masterauth"];

/// The words of a command without the secrets in it.
pub fn redacted<'a>(spec: &Spec, words: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut shown = words.to_vec();
    match spec.name {
        "auth" => shown[1..].fill(REDACTED),
        "hello" => {
            let auth = words.iter().skip(2).position(|word| word.eq_ignore_ascii_case(b"auth"));
            if let Some(at) = auth {
                shown.iter_mut().skip(at + 3).take(2).for_each(|word| *word = REDACTED);
            }
        }
        "config|set" => {
            for at in (2..shown.len().saturating_sub(1)).step_by(2) {
                if SECRETS.iter().any(|secret| words[at].eq_ignore_ascii_case(secret.as_bytes())) {
                    shown[at + 1] = REDACTED;
                }
            }
        }
        "migrate" => shown[command::families::migrate::secrets(words)].fill(REDACTED),
        "acl|setuser" => shown.iter_mut().skip(2).for_each(|word| *word = REDACTED),
        _ => {}
    }
    shown
}

/// A word in quotation marks, with what isn't text escaped.
pub fn quoted(word: &[u8]) -> String {
    let mut text = String::with_capacity(word.len() + 2);
    text.push('"');
    for byte in word {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'"' => text.push_str("\\\""),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            7 => text.push_str("\\a"),
            8 => text.push_str("\\b"),
            byte if byte.is_ascii_graphic() || *byte == b' ' => text.push(char::from(*byte)),
            byte => {
                // Writing to a String can't fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

impl Node {
    /// A client wants to be shown everything.
    pub(crate) fn begin_monitoring(&mut self, slot: u32) {
        if let Some(client) = self.hub.clients.get(slot) {
            let id = client.id;
            self.monitors.insert(id);
        }
        self.hub.clients.answer_now(slot, |out| out.extend_from_slice(b"+OK\r\n"));
    }

    /// Shows a command, and before EXEC what it carries out.
    pub(crate) fn show_all(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) {
        if spec.name == "exec"
            && let Some(client) = self.hub.clients.get(slot)
        {
            for (spec, words) in client.transaction.commands().to_vec() {
                let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
                self.show(slot, spec, &words);
            }
        }
        self.show(slot, spec, words);
    }

    /// Shows a command to those who want to see all.
    fn show(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) {
        if spec.flags.has(Flags::SKIP_MONITOR) || spec.flags.has(Flags::ADMIN) {
            return;
        }
        let wall = self.hub.wall().0;
        let Some(client) = self.hub.clients.get(slot) else { return };
        let mut line =
            format!("+{}.{:03}000 [{} {}]", wall / 1000, wall % 1000, client.database.0, client.address);
        for word in redacted(spec, words) {
            line.push(' ');
            line.push_str(&quoted(word));
        }
        line.push_str("\r\n");
        // Whoever stops watching doesn't see that.
        let leaves = (spec.name == "reset").then_some(client.id);
        let watchers: Vec<ClientId> =
            self.monitors.iter().copied().filter(|id| Some(*id) != leaves).collect();
        for id in watchers {
            if let Some(slot) = self.hub.clients.open_slot(id) {
                self.hub.clients.push(slot, |out| out.extend_from_slice(line.as_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_escaped() {
        assert_eq!(quoted(b"a b\"\\\n\r\t\x07\x08\x00\xff"), r#""a b\"\\\n\r\t\a\b\x00\xff""#);
    }

    #[test]
    fn secrets_are_left_out() {
        let shown = |line: &str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let spec = command::resolve(&words).expect("a command");
            let shown: Vec<String> = redacted(spec, &words)
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            shown.join(" ")
        };
        assert_eq!(shown("auth secret"), "auth (redacted)");
        assert_eq!(shown("AUTH user secret"), "AUTH (redacted) (redacted)");
        assert_eq!(
            shown("hello 3 auth user secret setname x"),
            "hello 3 auth (redacted) (redacted) setname x"
        );
        assert_eq!(
            shown("config set maxclients 1 requirepass secret"),
            "config set maxclients 1 requirepass (redacted)"
        );
        assert_eq!(shown("set auth secret"), "set auth secret");
    }
}
