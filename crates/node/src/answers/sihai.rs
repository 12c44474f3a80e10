//! SIHAI: what Redis has no words for.

use super::{Answered, is, shown};
use crate::meta::MetaCommand;
use crate::node::Node;
use crate::views::status::status;
use base::NodeId;
use command::{Error, Spec};
use resp::number::parse_integer;

impl Node {
    pub(super) fn about_sihai(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) -> Answered {
        match spec.short_name() {
            "status" => {
                let text = status(&self.overview(self.hub.now));
                self.reply(slot, |reply| reply.text(&text));
                Ok(())
            }
            "remove" => self.remove_node(slot, words),
            _ => {
                let container = command::lookup(b"sihai").expect("SIHAI is in the table");
                self.reply(slot, |reply| command::introspect::help(container, reply));
                Ok(())
            }
        }
    }

    fn remove_node(&mut self, slot: u32, words: &[&[u8]]) -> Answered {
        let (id, force) = match &words[2..] {
            [what, id] if is(what, "node") => (id, false),
            [what, id, option] if is(what, "node") && is(option, "force") => (id, true),
            _ => return Err(Error::Syntax.text().into_owned().into()),
        };
        let number =
            parse_integer(id).and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
        let Some(number) = number else {
            return Err(
                format!("ERR '{}' is no node's id: ids are the numbers of SIHAI STATUS", shown(id)).into()
            );
        };
        self.change_meta(slot, words, &MetaCommand::RemoveNode { node: NodeId(number), force });
        Ok(())
    }
}
