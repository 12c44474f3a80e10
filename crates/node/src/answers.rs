//! to be split
use crate::node::Node;
use command::Spec;
use resp::Writer;

impl Node {
    pub(crate) fn waits_for_earlier(&self, _spec: &Spec) -> bool {
        false
    }

    pub(crate) fn answer_here(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        let protocol = self.hub.clients.get(slot).map(|client| client.protocol).unwrap_or_default();
        self.hub.clients.answer_now(slot, |out| {
            let mut reply = Writer::new(out, protocol);
            match spec.name {
                "ping" if words.len() > 1 => reply.bulk(words[1]),
                "ping" => reply.simple("PONG"),
                _ => reply.error("ERR not here yet"),
            }
        });
    }
}
