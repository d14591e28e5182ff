//! The tree of stacks that the flame graph is drawn from.

use std::collections::BTreeMap;

use crate::base::hash::KeyedMap;
use crate::dump::render::Options;
use crate::dump::render::elision::{elided, elision};
use crate::goroutines::Dump;
use crate::goroutines::model::{FunctionKind, StackId};

/// How many calls deep the tree goes; of a deeper stack those in the middle are left out.
const MAX_DEPTH: usize = 400;
/// Branches with less than this part of all goroutines are too narrow to be seen, and left out of big trees.
const NARROW: u64 = 20_000;

/// Calls by calls, with the number of goroutines below each.
pub(super) struct Flame {
    names: Vec<String>,
    numbers: KeyedMap<String, usize>,
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    name: usize,
    count: u64,
    children: BTreeMap<usize, usize>,
}

impl Flame {
    pub(super) fn of(dump: &Dump, options: &Options) -> Self {
        let mut flame =
            Self { names: Vec::new(), numbers: KeyedMap::default(), nodes: vec![Node::default()] };
        for ((stack, doing), count) in dump.count_standing(options.goroutines(dump)) {
            flame.add(dump, options, stack, doing, count);
        }
        flame
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }

    /// The nodes as depth, name and count, parents before their children.
    pub(super) fn preorder(&self) -> Vec<u64> {
        let least = self.nodes[0].count / NARROW;
        let mut preorder = Vec::new();
        let mut todo: Vec<_> = self.children(0, 0);
        while let Some((depth, index)) = todo.pop() {
            let node = &self.nodes[index];
            if node.count >= least {
                preorder.extend([depth, node.name as u64, node.count]);
                todo.extend(self.children(index, depth + 1));
            }
        }
        preorder
    }

    /// The children of a node with their depth, by name and the last one first.
    fn children(&self, index: usize, depth: u64) -> Vec<(u64, usize)> {
        let mut children: Vec<_> = self.nodes[index].children.values().collect();
        children.sort_by_key(|&&child| std::cmp::Reverse(&self.names[self.nodes[child].name]));
        children.into_iter().map(|&child| (depth, child)).collect()
    }

    fn add(&mut self, dump: &Dump, options: &Options, stack: StackId, doing: &str, count: u64) {
        let mut frames: Vec<_> = dump.shown_frames(stack).collect();
        if options.all_frames || frames.is_empty() {
            frames = dump.frames(stack).collect();
        }
        let mut at = 0;
        self.nodes[at].count += count;
        let frames = frames.iter().rev().filter(|frame| frame.kind != FunctionKind::Goexit);
        let names = frames.map(|frame| dump.printed_name(frame.function)).collect();
        for name in elided(names, MAX_DEPTH, elision) {
            at = self.child(at, name, count);
        }
        self.child(at, format!("[{doing}]"), count);
    }

    fn child(&mut self, parent: usize, name: String, count: u64) -> usize {
        let name = self.name(name);
        let new = self.nodes.len();
        let child = *self.nodes[parent].children.entry(name).or_insert(new);
        if child == new {
            self.nodes.push(Node { name, ..Node::default() });
        }
        self.nodes[child].count += count;
        child
    }

    fn name(&mut self, name: String) -> usize {
        if let Some(&number) = self.numbers.get(&name) {
            return number;
        }
        self.names.push(name.clone());
        self.numbers.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }
}
