//! A tree is a vector, whatever is done to it and to its copies.

use super::{Element, Tree, node, visited};
use base::Rng;
use proptest::prelude::*;

impl Element for u32 {
    type Key = u32;

    /// Neighbours share keys, as members with equal scores do.
    fn key(&self) -> u32 {
        *self / 100
    }

    fn bytes(&self) -> u64 {
        u64::from(*self % 7) + 1
    }
}

fn same(tree: &Tree<u32>, model: &[u32]) {
    tree.check(|_, _| true);
    assert_eq!(tree.len(), model.len());
    assert!(tree.iter().eq(model));
    assert_eq!(tree.bytes(), model.iter().map(Element::bytes).sum::<u64>());
}

fn of(elements: impl IntoIterator<Item = u32>) -> Tree<u32> {
    let mut tree = Tree::default();
    elements.into_iter().for_each(|element| tree.push(element));
    tree
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u16, u32),
    Remove(usize, u16),
    Update(usize, u32),
    Split(usize),
    Append,
    RemoveRange(usize, usize),
    Copy,
    BuryCopy(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rank = any::<usize>();
    let step = prop_oneof![
        6 => (rank, 1..400u16, 0..1_000u32).prop_map(|(r, n, e)| Step::Insert(r, n, e)),
        4 => (rank, 1..400u16).prop_map(|(r, n)| Step::Remove(r, n)),
        2 => (rank, any::<u32>()).prop_map(|(r, e)| Step::Update(r, e)),
        2 => rank.prop_map(Step::Split),
        3 => Just(Step::Append),
        3 => (rank, 0..1_000usize).prop_map(|(r, n)| Step::RemoveRange(r, n)),
        1 => Just(Step::Copy),
        1 => (1..500usize).prop_map(Step::BuryCopy),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 1000 }))]

    #[test]
    fn a_tree_is_a_vector_and_its_copies_stay_as_they_were(steps in steps()) {
        let (mut tree, mut model) = (Tree::default(), Vec::new());
        let (mut aside, mut aside_model) = (Tree::default(), Vec::new());
        let mut copies: Vec<(Tree<u32>, Vec<u32>)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(rank, count, element) => {
                    let rank = rank % (model.len() + 1);
                    for number in 0..u32::from(count) {
                        tree.insert(rank, element + number);
                        model.insert(rank, element + number);
                    }
                }
                Step::Remove(rank, count) => {
                    for _ in 0..count {
                        if model.is_empty() {
                            break;
                        }
                        let rank = rank % model.len();
                        prop_assert_eq!(tree.remove(rank), model.remove(rank));
                    }
                }
                Step::Update(rank, element) if !model.is_empty() => {
                    let rank = rank % model.len();
                    let before = tree.update(rank, |found| std::mem::replace(found, element));
                    prop_assert_eq!(before, std::mem::replace(&mut model[rank], element));
                }
                Step::Update(..) => {}
                Step::Split(rank) => {
                    let rank = rank % (model.len() + 1);
                    (aside, aside_model) = (tree.split_off(rank), model.split_off(rank));
                }
                Step::Append => {
                    tree.append(std::mem::take(&mut aside));
                    model.append(&mut aside_model);
                }
                Step::RemoveRange(rank, count) => {
                    let rank = rank % (model.len() + 1);
                    let end = model.len().min(rank + count);
                    same(&tree.remove_range(rank, count), &model[rank..end]);
                    model.drain(rank..end);
                }
                Step::Copy => copies.push((tree.clone(), model.clone())),
                Step::BuryCopy(limit) => if let Some((mut copy, _)) = copies.pop() {
                    while copy.bury(limit) {}
                },
            }
            same(&tree, &model);
            same(&aside, &aside_model);
        }
        for (copy, model) in copies {
            same(&copy, &model);
        }
    }

    #[test]
    fn a_walk_starts_anywhere_and_goes_both_ways(len in 0..5_000usize, from in 0..6_000usize) {
        let tree = of(0..len as u32);
        prop_assert_eq!(tree.get(from).copied(), (0..len as u32).nth(from));
        prop_assert!(tree.iter_from(from).copied().eq(from.min(len) as u32..len as u32));
        let back = if from < len { from as u32 + 1 } else { 0 };
        prop_assert!(tree.iter_back_from(from).copied().eq((0..back).rev()));
    }

    #[test]
    fn a_search_tells_elements_with_one_key_apart(mut elements in proptest::collection::vec(0..3_000u32, 0..2_000), bound in 0..3_100u32) {
        elements.sort_unstable();
        let tree = of(elements.iter().copied());
        tree.check(|a, b| a <= b);
        let rank = tree.search(bound.key(), |element| *element < bound);
        prop_assert_eq!(rank, elements.partition_point(|element| *element < bound));
    }
}

#[test]
fn a_million_elements_are_four_nodes_deep() {
    let mut tree = of(0..1_000_000);
    let mut rng = Rng::new(5);
    let mut most = 0;
    let mut count = |what: &mut dyn FnMut(usize)| {
        for _ in 0..200 {
            let rank = rng.below(1_000_000) as usize;
            visited();
            what(rank);
            most = most.max(visited());
        }
    };
    count(&mut |rank| assert_eq!(tree.get(rank), Some(&(rank as u32))));
    count(&mut |rank| {
        // A child that begins with the very key is looked into, down to its first element.
        let rank = rank as u32;
        assert_eq!(tree.search(rank.key(), |element| *element < rank), rank as usize);
    });
    count(&mut |rank| {
        let element = tree.remove(rank);
        tree.insert(rank, element);
    });
    assert!(most <= 40, "{most} nodes");
    visited();
    let removed = tree.remove_range(100_000, 800_000);
    assert!(visited() <= 60, "a range is cut out whole, not element by element");
    assert_eq!((removed.len(), tree.len()), (800_000, 200_000));
    tree.check(|a, b| a < b);
}

#[test]
fn a_change_of_a_copy_copies_the_path_and_no_more() {
    let mut tree = of(0..100_000);
    let copy = tree.clone();
    assert!(tree.shares_with(&copy) > 1_500, "a copy shares all nodes");
    let all = tree.shares_with(&copy);
    tree.insert(50_000, 7);
    assert!(tree.shares_with(&copy) >= all - 4 - 1);
    same(&copy, &(0..100_000).collect::<Vec<_>>());
}

#[test]
fn what_is_buried_is_freed_little_by_little() {
    let mut tree = of(0..100_000);
    let copy = tree.clone();
    let mut rounds = 1;
    while tree.bury(100) {
        rounds += 1;
    }
    assert_eq!(rounds, 1, "all of it is shared: nothing is freed");
    same(&copy, &(0..100_000).collect::<Vec<_>>());
    let mut last = copy;
    let mut rounds = 1;
    while last.bury(100) {
        rounds += 1;
    }
    assert!((100_000 / (100 + node::LEAF_MAX)..=1_000).contains(&rounds), "{rounds} rounds");
}
