//! Nodes, and what is done with one and its neighbours. Every node but the root is at least a quarter full.

use super::{Element, Tree};
use std::cmp::Ordering;
use std::sync::Arc;

pub(super) const LEAF_MAX: usize = 64;
const LEAF_MIN: usize = LEAF_MAX / 4;
pub(super) const INNER_MAX: usize = 32;
const INNER_MIN: usize = INNER_MAX / 4;

#[cfg(test)]
thread_local! {
    static VISITED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many nodes were visited in this thread since it was last asked.
#[cfg(test)]
pub(crate) fn visited() -> usize {
    VISITED.take()
}

#[inline]
fn visit() {
    #[cfg(test)]
    VISITED.set(VISITED.get() + 1);
}

#[derive(Clone, Debug)]
enum Node<T: Element> {
    Leaf(Vec<T>),
    Inner(Vec<Child<T>>),
}

/// A node, and what is known of it without looking.
#[derive(Clone, Debug)]
pub(super) struct Child<T: Element> {
    len: usize,
    bytes: u64,
    /// The key of the first element.
    first: T::Key,
    node: Arc<Node<T>>,
}

impl<T: Element> Child<T> {
    /// A leaf of these elements, of which there is at least one.
    pub(super) fn leaf(elements: Vec<T>) -> Self {
        Self {
            len: elements.len(),
            bytes: elements.iter().map(T::bytes).sum(),
            first: elements[0].key(),
            node: Arc::new(Node::Leaf(elements)),
        }
    }

    /// A node over these children, of which there is at least one.
    pub(super) fn inner(children: Vec<Self>) -> Self {
        Self {
            len: children.iter().map(|child| child.len).sum(),
            bytes: children.iter().map(|child| child.bytes).sum(),
            first: children[0].first,
            node: Arc::new(Node::Inner(children)),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many nodes lie below it on every path.
    pub(super) fn height(&self) -> usize {
        match &*self.node {
            Node::Leaf(_) => 0,
            Node::Inner(children) => 1 + children[0].height(),
        }
    }

    /// Its child, if it has only one.
    pub(super) fn only_child(&self) -> Option<Self> {
        match &*self.node {
            Node::Inner(children) if children.len() == 1 => Some(children[0].clone()),
            _ => None,
        }
    }

    /// The leaf with the element of this rank, which must be there, and its index in it.
    pub(super) fn leaf_of(&self, rank: usize) -> (&[T], usize) {
        visit();
        match &*self.node {
            Node::Leaf(elements) => (elements, rank),
            Node::Inner(children) => {
                let (index, before) = find(children, rank);
                children[index].leaf_of(rank - before)
            }
        }
    }

    fn first_element(&self) -> &T {
        visit();
        match &*self.node {
            Node::Leaf(elements) => &elements[0],
            Node::Inner(children) => children[0].first_element(),
        }
    }

    pub(super) fn search(&self, key: T::Key, is_before: &impl Fn(&T) -> bool) -> usize {
        visit();
        match &*self.node {
            Node::Leaf(elements) => elements.partition_point(is_before),
            Node::Inner(children) => {
                let count = children.partition_point(|child| match child.first.cmp(&key) {
                    Ordering::Less => true,
                    Ordering::Equal => is_before(child.first_element()),
                    Ordering::Greater => false,
                });
                let Some(last) = count.checked_sub(1) else { return 0 };
                let before: usize = children[..last].iter().map(|child| child.len).sum();
                before + children[last].search(key, is_before)
            }
        }
    }

    /// Inserts an element; what then is too much for the node comes back as its right neighbour.
    pub(super) fn insert(&mut self, rank: usize, element: T) -> Option<Self> {
        visit();
        self.len += 1;
        self.bytes += element.bytes();
        if rank == 0 {
            self.first = element.key();
        }
        match Arc::make_mut(&mut self.node) {
            Node::Leaf(elements) => {
                insert(elements, rank, element);
                if elements.len() <= LEAF_MAX {
                    return None;
                }
            }
            Node::Inner(children) => {
                // Behind the last element of one child is before the first of the next; either will do.
                let (index, before) = find(children, rank);
                let more = children[index].insert(rank - before, element)?;
                insert(children, index + 1, more);
                if children.len() <= INNER_MAX {
                    return None;
                }
            }
        }
        Some(self.divide())
    }

    /// Halves a node; the right half comes back.
    fn divide(&mut self) -> Self {
        let right = match Arc::make_mut(&mut self.node) {
            Node::Leaf(elements) => {
                let right = elements.split_off(elements.len() / 2);
                elements.shrink_to_fit();
                Self::leaf(right)
            }
            Node::Inner(children) => {
                let right = children.split_off(children.len() / 2);
                children.shrink_to_fit();
                Self::inner(right)
            }
        };
        self.len -= right.len;
        self.bytes -= right.bytes;
        right
    }

    /// Takes out the element of this rank, which must be there.
    pub(super) fn remove(&mut self, rank: usize) -> T {
        visit();
        let removed = match Arc::make_mut(&mut self.node) {
            Node::Leaf(elements) => {
                let removed = elements.remove(rank);
                if elements.len() * 2 < elements.capacity() {
                    elements.shrink_to(elements.len() + elements.len() / 4);
                }
                if let (0, Some(first)) = (rank, elements.first()) {
                    self.first = first.key();
                }
                removed
            }
            Node::Inner(children) => {
                let (index, before) = find(children, rank);
                let removed = children[index].remove(rank - before);
                if children[index].is_thin() {
                    restore(children, index);
                }
                self.first = children[0].first;
                removed
            }
        };
        self.len -= 1;
        self.bytes -= removed.bytes();
        removed
    }

    /// Changes the element of this rank, which must be there.
    pub(super) fn update<R>(&mut self, rank: usize, change: impl FnOnce(&mut T) -> R) -> R {
        visit();
        match Arc::make_mut(&mut self.node) {
            Node::Leaf(elements) => {
                let element = &mut elements[rank];
                let before = element.bytes();
                let result = change(element);
                self.bytes = self.bytes - before + element.bytes();
                self.first = elements[0].key();
                result
            }
            Node::Inner(children) => {
                let (index, before) = find(children, rank);
                let child = &mut children[index];
                let bytes = child.bytes;
                let result = child.update(rank - before, change);
                self.bytes = self.bytes - bytes + child.bytes;
                self.first = children[0].first;
                result
            }
        }
    }

    /// What is before this rank and what is from it on.
    pub(super) fn split(self, rank: usize) -> (Tree<T>, Tree<T>) {
        visit();
        match Arc::unwrap_or_clone(self.node) {
            Node::Leaf(mut elements) => {
                let right = elements.split_off(rank);
                elements.shrink_to_fit();
                let tree =
                    |elements: Vec<T>| Tree { root: (!elements.is_empty()).then(|| Child::leaf(elements)) };
                (tree(elements), tree(right))
            }
            Node::Inner(mut children) => {
                let (index, before) = find(&children, rank);
                let after = children.split_off(index + 1);
                let middle = children.pop().expect("the child that was found");
                let (left_middle, right_middle) = middle.split(rank - before);
                let mut left = tree_over(children);
                left.append(left_middle);
                let mut right = right_middle;
                right.append(tree_over(after));
                (left, right)
            }
        }
    }

    /// Puts a node of no greater height behind the last element.
    pub(super) fn append(&mut self, height: usize, right: Self, right_height: usize) -> Option<Self> {
        visit();
        if height == right_height {
            return self.unite(right);
        }
        self.len += right.len;
        self.bytes += right.bytes;
        let Node::Inner(children) = Arc::make_mut(&mut self.node) else {
            unreachable!("a leaf has no height")
        };
        let last = children.last_mut().expect("a node has children");
        let more = last.append(height - 1, right, right_height)?;
        children.push(more);
        (children.len() > INNER_MAX).then(|| self.divide())
    }

    /// Puts a node of smaller height before the first element; what is too much comes back as the right neighbour.
    pub(super) fn prepend(&mut self, height: usize, left: Self, left_height: usize) -> Option<Self> {
        visit();
        if height == left_height {
            let right = std::mem::replace(self, left);
            return self.unite(right);
        }
        self.len += left.len;
        self.bytes += left.bytes;
        self.first = left.first;
        let Node::Inner(children) = Arc::make_mut(&mut self.node) else {
            unreachable!("a leaf has no height")
        };
        let more = children[0].prepend(height - 1, left, left_height)?;
        children.insert(1, more);
        (children.len() > INNER_MAX).then(|| self.divide())
    }

    /// Takes in its right neighbour of the same height. Where both would be too much for one node, they are two that are
    /// full enough, and the right one comes back.
    fn unite(&mut self, right: Self) -> Option<Self> {
        if !self.is_thin() && !right.is_thin() {
            return Some(right);
        }
        self.len += right.len;
        self.bytes += right.bytes;
        let is_too_much = match (Arc::make_mut(&mut self.node), Arc::unwrap_or_clone(right.node)) {
            (Node::Leaf(elements), Node::Leaf(more)) => {
                elements.extend(more);
                elements.len() > LEAF_MAX
            }
            (Node::Inner(children), Node::Inner(more)) => {
                children.extend(more);
                children.len() > INNER_MAX
            }
            _ => unreachable!("nodes of one height are of one kind"),
        };
        is_too_much.then(|| self.divide())
    }

    fn is_thin(&self) -> bool {
        match &*self.node {
            Node::Leaf(elements) => elements.len() < LEAF_MIN,
            Node::Inner(children) => children.len() < INNER_MIN,
        }
    }

    /// Frees the last leaf, or leaves to others what they share; how many elements that were, if there is more.
    pub(super) fn shed(&mut self) -> Option<usize> {
        let Node::Inner(children) = Arc::get_mut(&mut self.node)? else { return None };
        let last = children.last_mut()?;
        let freed = match last.shed() {
            Some(freed) => freed,
            None => {
                let last = children.pop()?;
                match Arc::into_inner(last.node) {
                    Some(Node::Leaf(elements)) => elements.len(),
                    _ => 1,
                }
            }
        };
        (!children.is_empty()).then_some(freed)
    }

    pub(super) fn check(&self, is_root: bool) {
        let (len, bytes, first) = match &*self.node {
            Node::Leaf(elements) => {
                base::invariant!("a leaf isn't too full", elements.len() <= LEAF_MAX);
                base::invariant!(
                    "a leaf is full enough",
                    elements.len() >= if is_root { 1 } else { LEAF_MIN }
                );
                (elements.len(), elements.iter().map(T::bytes).sum::<u64>(), elements[0].key())
            }
            Node::Inner(children) => {
                base::invariant!("a node isn't too full", children.len() <= INNER_MAX);
                base::invariant!(
                    "a node is full enough",
                    children.len() >= if is_root { 2 } else { INNER_MIN }
                );
                let height = children[0].height();
                for child in children {
                    base::invariant!("all leaves are equally far from the root", child.height() == height);
                    child.check(false);
                }
                let len = children.iter().map(|child| child.len).sum();
                (len, children.iter().map(|child| child.bytes).sum(), children[0].first)
            }
        };
        base::invariant!("a node knows how many elements it has", len == self.len);
        base::invariant!("a node knows how many bytes its elements take", bytes == self.bytes);
        base::invariant!("a node knows its first key", first == self.first);
    }
}

/// The child in which the element of this rank is or would be put, and how many elements come before that child.
fn find<T: Element>(children: &[Child<T>], rank: usize) -> (usize, usize) {
    let mut before = 0;
    let last = children.len() - 1;
    for (index, child) in children[..last].iter().enumerate() {
        if rank < before + child.len {
            return (index, before);
        }
        before += child.len;
    }
    (last, before)
}

/// Fills up a child that has become thin from a neighbour, or makes them one.
fn restore<T: Element>(children: &mut Vec<Child<T>>, index: usize) {
    if children.len() == 1 {
        return;
    }
    let left = index.saturating_sub(1);
    let right = children.remove(left + 1);
    if children[left].len == 0 {
        children[left] = right;
    } else if right.len > 0
        && let Some(more) = children[left].unite(right)
    {
        children.insert(left + 1, more);
    }
}

fn tree_over<T: Element>(mut children: Vec<Child<T>>) -> Tree<T> {
    let root = if children.len() > 1 { Some(Child::inner(children)) } else { children.pop() };
    Tree { root }
}

/// Room for a few more at a time: small collections are many.
fn insert<T>(all: &mut Vec<T>, index: usize, new: T) {
    if all.len() == all.capacity() {
        all.reserve_exact((all.len() / 4).max(1));
    }
    all.insert(index, new);
}

#[cfg(test)]
impl<T: Element> Tree<T> {
    /// How many nodes two trees share.
    pub(super) fn shares_with(&self, other: &Self) -> usize {
        fn nodes<T: Element>(child: &Child<T>, all: &mut Vec<*const Node<T>>) {
            all.push(Arc::as_ptr(&child.node));
            if let Node::Inner(children) = &*child.node {
                children.iter().for_each(|child| nodes(child, all));
            }
        }
        let of = |tree: &Self| {
            let mut all = Vec::new();
            tree.root.iter().for_each(|root| nodes(root, &mut all));
            all.into_iter().collect::<std::collections::BTreeSet<_>>()
        };
        of(self).intersection(&of(other)).count()
    }
}
