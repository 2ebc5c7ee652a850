//! Dirtrees in layers: each layer names only what lies in layers before it, so that those of one layer may be put in any
//! order, and by several threads at once.

use ostler_format::Checksum;
use std::collections::{HashMap, HashSet};

/// Returns the dirtrees that are keys of `named`, which says what each names, in layers. Dirtrees that are not keys are
/// there already. Within a layer the order is that of `order`, which has all of them.
pub(crate) fn layers(order: &[Checksum], named: &HashMap<Checksum, Vec<Checksum>>) -> Vec<Vec<Checksum>> {
    let heights = heights(order, named);
    let count = heights.values().max().map_or(0, |highest| highest + 1);
    let mut layers = vec![Vec::new(); count];
    for tree in order {
        if let Some(layer) = heights.get(tree).and_then(|height| layers.get_mut(*height)) {
            layer.push(*tree);
        }
    }
    layers
}

/// Returns for each dirtree one more than the most of those that it names, none being 0. Without recursion: trees may be
/// nested as deep as somebody likes. One that names itself, by whatever way, is damaged, which whoever hashes it finds out:
/// the name that closes the circle is passed over here.
fn heights(order: &[Checksum], named: &HashMap<Checksum, Vec<Checksum>>) -> HashMap<Checksum, usize> {
    let mut heights = HashMap::with_capacity(named.len());
    let mut stack: Vec<(Checksum, &[Checksum], usize)> = Vec::new();
    let mut begun = HashSet::new();
    for root in order {
        let mut next = Some(*root);
        loop {
            if let Some(tree) = next.take()
                && let Some(children) = named.get(&tree).filter(|_| begun.insert(tree))
            {
                stack.push((tree, children, 0));
            }
            let Some((tree, children, height)) = stack.last_mut() else {
                break;
            };
            match children.split_first() {
                // It stays the first of the children, and is known when it comes up again.
                Some((child, _)) if named.contains_key(child) && !begun.contains(child) => {
                    next = Some(*child);
                }
                Some((child, rest)) => {
                    let below = heights.get(child).map_or(0, |below| below + 1);
                    *height = (*height).max(below);
                    *children = rest;
                }
                None => {
                    heights.insert(*tree, *height);
                    stack.pop();
                }
            }
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(number: u8) -> Checksum {
        Checksum::of(&[number])
    }

    #[test]
    fn a_tree_lies_behind_all_that_it_names() {
        // 1 names 2 and 3, 2 names 3 and 9 (which is there), 4 names nothing.
        let named = HashMap::from([
            (tree(1), vec![tree(2), tree(3)]),
            (tree(2), vec![tree(3), tree(9)]),
            (tree(3), vec![]),
            (tree(4), vec![]),
        ]);
        let order = [tree(1), tree(2), tree(3), tree(4)];
        let expected = vec![vec![tree(3), tree(4)], vec![tree(2)], vec![tree(1)]];
        assert_eq!(layers(&order, &named), expected);
        assert!(layers(&[], &HashMap::new()).is_empty());
    }

    #[test]
    fn a_circle_comes_to_an_end() {
        let named = HashMap::from([
            (tree(1), vec![tree(1)]),
            (tree(2), vec![tree(3), tree(1)]),
            (tree(3), vec![tree(2)]),
        ]);
        let order = [tree(1), tree(2), tree(3)];
        let layers = layers(&order, &named);
        assert_eq!(layers.concat().len(), 3);
    }

    #[test]
    fn a_deep_chain_takes_no_stack() {
        let numbers = 0..40_000_u32;
        let name = |number: u32| Checksum::of(&number.to_le_bytes());
        let named = numbers.clone().map(|n| (name(n), vec![name(n + 1)])).collect();
        let order: Vec<_> = numbers.map(name).collect();
        let layers = layers(&order, &named);
        assert_eq!(layers.len(), order.len());
        assert_eq!(layers.first(), Some(&vec![name(39_999)]));
    }
}
