//! Where a command goes: the one place that decides whether its keys lie on one shard or on several.

use crate::node::Node;
use crate::split::Split;
use base::GroupId;
use command::Spec;

/// Where a command goes.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// To one shard, which has all its keys.
    One(GroupId),
    /// To several, each with a part of it.
    Several(Box<Split<'a>>),
    /// To none: it has to see keys of several at once, and runs here.
    Here,
}

impl Node {
    /// Where a command goes: the one place that decides whether its keys lie on several shards.
    #[inline]
    pub(crate) fn route<'a>(&self, spec: &Spec, words: &[&'a [u8]]) -> Route<'a> {
        let mut found = None;
        for key in spec.keys(words) {
            let group = self.view.slots.group_of_key(key);
            match found {
                None => found = Some(group),
                Some(first) if first != group => {
                    return self.route_over(spec, words, first);
                }
                Some(_) => {}
            }
        }
        let group = found.unwrap_or(GroupId(1));
        for pattern in spec.key_patterns(words) {
            if self.group_of_pattern(pattern) != Some(group) {
                return Route::Here;
            }
        }
        Route::One(group)
    }

    fn route_over<'a>(&self, spec: &Spec, words: &[&'a [u8]], first: GroupId) -> Route<'a> {
        match Split::of(spec, words, &self.view.slots) {
            Some(split) => Route::Several(Box::new(split)),
            // Its words are out of order: whichever shard it comes to refuses it.
            None if Split::splits(spec) => Route::One(first),
            None => Route::Here,
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
