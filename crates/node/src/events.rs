//! Keyspace events: what a leader's keyspace tells of applied changes, published to the listeners of all nodes. A leader tells only what
//! is committed, in the order of its log; what it had no time to tell before it was lost is not told again, as with any PUBLISH.

use crate::node::Node;
use base::database::EventClasses;
use bytes::Bytes;
use keyspace::keyspace::Event;

impl Node {
    /// Publishes what the copies that lead have told.
    pub(crate) fn publish_events(&mut self) {
        for event in std::mem::take(&mut self.hub.events) {
            let found = self.view.databases.iter().position(|database| *database == Some(event.database));
            let Some(index) = found else { continue };
            let told = self.hub.listening;
            for (wanted, form) in
                [(EventClasses::KEYSPACE, Form::OfKey), (EventClasses::KEYEVENT, Form::OfEvent)]
            {
                if told.0 & wanted.0 != 0 {
                    let (channel, message) = form.message(index, &event);
                    self.publish_everywhere(false, channel, message);
                }
            }
        }
    }
}

/// The two forms in which an event is told.
#[derive(Clone, Copy)]
enum Form {
    OfKey,
    OfEvent,
}

impl Form {
    fn message(self, index: usize, event: &Event) -> (Bytes, Bytes) {
        let (kind, about, message) = match self {
            Form::OfKey => ("keyspace", &event.key[..], event.event.as_bytes()),
            Form::OfEvent => ("keyevent", event.event.as_bytes(), &event.key[..]),
        };
        let mut channel = format!("__{kind}@{index}__:").into_bytes();
        channel.extend_from_slice(about);
        (channel.into(), Bytes::copy_from_slice(message))
    }
}
