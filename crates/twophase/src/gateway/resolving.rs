//! Outcomes on their way to the participants, until all have confirmed them or enough was tried.

use super::{Alarm, Effect, Gateway};
use crate::ids::{Participants, TxId};
use crate::message::RequestBody;
use crate::operation::Decision;
use alloc::collections::BTreeSet;
use base::{GroupId, Outbox, Time};

/// One outcome.
#[derive(Debug)]
pub(super) struct Resolving {
    participants: Participants,
    missing: BTreeSet<GroupId>,
    decision: Decision,
    /// Whether all results are here.
    answered: bool,
    tries: u32,
}

impl Gateway {
    /// Tells the participants the outcome, but for those that know it.
    pub(super) fn resolve(
        &mut self,
        now: Time,
        id: TxId,
        participants: Participants,
        decision: Decision,
        knows: Option<GroupId>,
        out: &mut Outbox<Effect>,
    ) {
        let missing = participants.iter().filter(|group| Some(*group) != knows).collect();
        let answered = decision == Decision::Commit;
        self.resolving.insert(id, Resolving { participants, missing, decision, answered, tries: 0 });
        self.tend_resolving(now, id, out);
    }

    pub(super) fn resolved(&mut self, from: GroupId, id: TxId) {
        if let Some(resolving) = self.resolving.get_mut(&id) {
            resolving.missing.remove(&from);
            if resolving.missing.is_empty() {
                self.resolving.remove(&id);
            }
        }
    }

    pub(super) fn tend_resolving(&mut self, now: Time, id: TxId, out: &mut Outbox<Effect>) {
        let Some(resolving) = self.resolving.get_mut(&id) else { return };
        if resolving.missing.is_empty() || resolving.tries >= self.config.resolve_tries {
            self.resolving.remove(&id);
            return;
        }
        resolving.tries += 1;
        let Resolving { participants, missing, decision, answered, .. } = &*resolving;
        let (participants, decision, answered) = (participants.clone(), *decision, *answered);
        for to in missing.clone() {
            let participants = participants.clone();
            self.ask(to, RequestBody::Resolve { id, participants, decision, answered }, out);
        }
        self.alarms.insert((now + self.config.resend_every, Alarm::Resolving(id)));
    }
}
