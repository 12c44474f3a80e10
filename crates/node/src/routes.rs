//! Where a command goes: the one place that decides whether its keys lie on one shard or on several.

use crate::node::Node;
use crate::split::Split;
use base::GroupId;
use command::Spec;

impl RouteError {
    /// The error for a client; `what` became of its command.
    pub(crate) fn says(&self, what: &str) -> String {
        match self {
            RouteError::CrossShard { first, second } => format!(
                "ERR {what}: its keys lie on {first} and {second}, where this command can't be carried out. Keys \
                 with the same {{tag}} share a shard"
            ),
            RouteError::Pattern { pattern, group } => format!(
                "ERR {what}: the keys that '{pattern}' stands for may lie on other shards than {group}, where this \
                 command can't be carried out. Patterns that begin with the {{tag}} of the sorted key stay on \
                 its shard"
            ),
        }
    }
}

/// Where a command goes.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// To one shard, which has all its keys.
    One(GroupId),
    /// To several, each with a part of it.
    Several(Box<Split<'a>>),
}

/// Why a command can't be carried out where its keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// Its keys lie on two shards.
    CrossShard {
        /// The shard of the first key.
        first: GroupId,
        /// Another key's.
        second: GroupId,
    },
    /// It reads keys by a pattern that may stand for keys on other shards.
    Pattern {
        /// The pattern.
        pattern: Box<str>,
        /// The shard of the keys that it names.
        group: GroupId,
    },
}

impl Node {
    /// Where a command goes: the one place that decides whether its keys lie on several shards.
    #[inline]
    pub(crate) fn route<'a>(&self, spec: &Spec, words: &[&'a [u8]]) -> Result<Route<'a>, RouteError> {
        let mut found = None;
        for key in spec.keys(words) {
            let group = self.view.slots.group_of_key(key);
            match found {
                None => found = Some(group),
                Some(first) if first != group => {
                    return self.route_over(spec, words, first, group);
                }
                Some(_) => {}
            }
        }
        let group = found.unwrap_or(GroupId(1));
        for pattern in spec.key_patterns(words) {
            if self.group_of_pattern(pattern) != Some(group) {
                let pattern = String::from_utf8_lossy(pattern).into();
                return Err(RouteError::Pattern { pattern, group });
            }
        }
        Ok(Route::One(group))
    }

    fn route_over<'a>(
        &self,
        spec: &Spec,
        words: &[&'a [u8]],
        first: GroupId,
        second: GroupId,
    ) -> Result<Route<'a>, RouteError> {
        match Split::of(spec, words, &self.view.slots) {
            Some(split) => Ok(Route::Several(Box::new(split))),
            // Its words are out of order: whichever shard it comes to refuses it.
            None if Split::splits(spec) => Ok(Route::One(first)),
            None => Err(RouteError::CrossShard { first, second }),
        }
    }

    /// The group that has all keys that a pattern with a `*` can stand for, if one is sure to: by a tag before the `*`, or because
    /// there is no other.
    fn group_of_pattern(&self, pattern: &[u8]) -> Option<GroupId> {
        if let [group] = self.view.shards[..] {
            return Some(group);
        }
        let fixed = pattern.split(|byte| *byte == b'*').next()?;
        (base::slot::hash_tag(fixed).len() < fixed.len()).then(|| self.view.slots.group_of_key(fixed))
    }
}
