//! Aliases and merge keys, resolved into plain nodes.

use crate::keys::is_merge;
use crate::problem::{MOST_PROBLEMS, Problem};
use crate::rules::{ALIAS_LIMIT, MERGE_KEY_OVERRIDE, SYNTAX_ERROR, TOO_DEEP};
use crate::span::Span;
use crate::tape::{Entry, Kind, Tape, after, scalar_text};
use std::collections::HashMap;

use crate::granit::MAX_DEPTH;

/// Resolves the aliases and merge keys of `tape`; with a problem, what is left on it is not to be used.
///
/// As Kubernetes has it: what stands later wins, be it merged or not, and of several merged mappings the first one
/// wins; the strict reading refuses a key that is set twice by such means.
pub(crate) fn resolve(tape: &mut Tape, text: &str, base: u32, problems: &mut Vec<Problem>) {
    let mut resolver = Resolver {
        from: &tape.entries,
        strings: &tape.strings,
        text,
        base,
        to: Vec::with_capacity(tape.entries.len()),
        nodes: 0,
        aliased: 0,
        alias_depth: 0,
        alias: Span::default(),
        problems,
    };
    let done = resolver.copy(0, 0);
    let entries = resolver.to;
    tape.entries = if done.is_some() { entries } else { Vec::new() };
}

struct Resolver<'t> {
    from: &'t [Entry],
    strings: &'t [Box<str>],
    text: &'t str,
    base: u32,
    to: Vec<Entry>,
    /// Nodes written, and how many of them inside an alias.
    nodes: u64,
    aliased: u64,
    alias_depth: u32,
    alias: Span,
    problems: &'t mut Vec<Problem>,
}

/// A key and its value that a mapping has of its own or by a merge (whose key is `merge`).
#[derive(Clone, Copy)]
struct Pair {
    key: u32,
    value: u32,
    merge: Option<u32>,
}

impl<'t> Resolver<'t> {
    /// Writes the node at `index`; `None` if that cannot be, which is then reported.
    fn copy(&mut self, index: u32, depth: usize) -> Option<()> {
        let entry = *self.from.get(index as usize)?;
        self.count(entry.span)?;
        if depth > MAX_DEPTH {
            let message = format!("with its aliases resolved, this nests over {MAX_DEPTH} deep");
            self.problems.push(Problem::new(&TOO_DEEP, self.alias, message).help("use fewer aliases inside aliases"));
            return None;
        }
        match entry.kind {
            Kind::Bare | Kind::Quoted | Kind::Owned => self.to.push(entry),
            Kind::Alias => {
                self.enter(entry.span);
                self.copy(entry.link, depth)?;
                self.alias_depth -= 1;
            }
            Kind::Sequence => {
                let start = self.open(entry);
                let mut item = index + 1;
                while item < entry.link {
                    self.copy(item, depth + 1)?;
                    item = after(self.from, item);
                }
                self.close(start);
            }
            Kind::Mapping => {
                let pairs = self.pairs(index, depth)?;
                let start = self.open(entry);
                for pair in pairs {
                    self.copy(pair.key, depth + 1)?;
                    self.copy(pair.value, depth + 1)?;
                }
                self.close(start);
            }
        }
        Some(())
    }

    fn open(&mut self, entry: Entry) -> usize {
        self.to.push(entry);
        self.to.len() - 1
    }

    fn close(&mut self, start: usize) {
        let next = self.to.len() as u32;
        if let Some(entry) = self.to.get_mut(start) {
            entry.link = next;
        }
    }

    /// Begins an alias, written at `span` if it is not inside another one.
    fn enter(&mut self, span: Span) {
        if self.alias_depth == 0 {
            self.alias = span;
        }
        self.alias_depth += 1;
    }

    /// Counts a node, and stops aliases that multiply: the more nodes there are, the smaller the share of them that
    /// may come from aliases. The bounds are those of Kubernetes' reader.
    fn count(&mut self, span: Span) -> Option<()> {
        const FREE: u64 = 400_000;
        const MOST: u64 = 4_000_000;
        self.nodes += 1;
        self.aliased += u64::from(self.alias_depth > 0);
        let percent = match self.nodes {
            ..=FREE => 99,
            MOST.. => 10,
            nodes => 99 - 89 * (nodes - FREE) / (MOST - FREE),
        };
        if self.aliased > 100 && self.nodes > 1000 && self.aliased * 100 > self.nodes * percent {
            let at = if self.alias_depth > 0 { self.alias } else { span };
            let message = "the aliases of this document multiply its size so much that Kubernetes refuses it";
            self.problems.push(Problem::new(&ALIAS_LIMIT, at, message).help("write the values out"));
            return None;
        }
        Some(())
    }

    /// The entries of the mapping at `index`, those that it merges among them.
    fn pairs(&mut self, index: u32, depth: usize) -> Option<Vec<Pair>> {
        let mut pairs = Vec::new();
        let merges = self.collect(index, None, depth, &mut pairs)?;
        if merges {
            pairs = self.without_overridden(pairs);
        }
        Some(pairs)
    }

    /// Adds the entries of the mapping at `index` to `pairs`; says whether there is a merge among them.
    fn collect(&mut self, index: u32, merge: Option<u32>, depth: usize, pairs: &mut Vec<Pair>) -> Option<bool> {
        let end = after(self.from, index);
        let mut merges = false;
        if let Some(merge) = merge {
            self.enter(self.span(merge));
        }
        let mut key = index + 1;
        while key < end {
            let value = key + 1;
            if self.from.get(key as usize).is_some_and(|entry| is_merge(entry, self.text, self.base)) {
                merges = true;
                self.merge(value, merge.unwrap_or(key), depth + 1, pairs)?;
            } else {
                // The mapping's own pairs are counted when they are written.
                if merge.is_some() {
                    self.count(self.span(key))?;
                }
                pairs.push(Pair { key, value, merge });
            }
            key = after(self.from, value);
        }
        if merge.is_some() {
            self.alias_depth -= 1;
        }
        Some(merges)
    }

    /// Adds what `<<: value` brings in.
    fn merge(&mut self, value: u32, merge: u32, depth: usize, pairs: &mut Vec<Pair>) -> Option<()> {
        let (target, entry) = self.follow(value)?;
        self.count(entry.span)?;
        match entry.kind {
            Kind::Mapping if depth <= MAX_DEPTH => self.collect(target, Some(merge), depth, pairs).map(|_| ()),
            Kind::Sequence if target == value => {
                let mut items = Vec::new();
                let mut item = target + 1;
                while item < entry.link {
                    items.push(item);
                    item = after(self.from, item);
                }
                // What is set later wins, and the first mapping is to win.
                for item in items.into_iter().rev() {
                    // An empty mapping brings no pairs that would be counted.
                    self.count(self.span(item))?;
                    match self.follow(item)? {
                        (target, Entry { kind: Kind::Mapping, .. }) if depth <= MAX_DEPTH => {
                            self.collect(target, Some(merge), depth, pairs)?;
                        }
                        _ => return self.no_mapping(self.span(item)),
                    }
                }
                Some(())
            }
            _ => self.no_mapping(self.span(value)),
        }
    }

    fn no_mapping(&mut self, span: Span) -> Option<()> {
        let message = "`<<` merges a mapping into this one, and this is no mapping";
        let problem = Problem::new(&SYNTAX_ERROR, span, message);
        self.problems.push(problem.help("give it an alias of a mapping or a list of such aliases, or quote the key"));
        None
    }

    fn follow(&self, index: u32) -> Option<(u32, Entry)> {
        let entry = *self.from.get(index as usize)?;
        match entry.kind {
            Kind::Alias => Some((entry.link, *self.from.get(entry.link as usize)?)),
            _ => Some((index, entry)),
        }
    }

    fn without_overridden(&mut self, pairs: Vec<Pair>) -> Vec<Pair> {
        let mut last: HashMap<&'t str, usize> = HashMap::with_capacity(pairs.len());
        let mut keep = vec![true; pairs.len()];
        for (at, pair) in pairs.iter().enumerate() {
            let Some(earlier) = last.insert(self.name(pair.key), at) else { continue };
            keep[earlier] = false;
            let Some(earlier) = pairs.get(earlier).filter(|_| self.problems.len() < MOST_PROBLEMS) else { continue };
            // Two keys that are both written in this mapping have been reported as duplicates.
            let (own, other) = match (earlier.merge, pair.merge) {
                (None, None) => continue,
                (None, Some(_)) => (earlier.key, pair.key),
                (Some(_), None) => (pair.key, earlier.key),
                (Some(merge), Some(_)) => (merge, pair.key),
            };
            let name = self.name(pair.key);
            let message =
                format!("`{name}` is set twice: a merge (`<<`) brings it in as well. Strict reading refuses that");
            let problem = Problem::new(&MERGE_KEY_OVERRIDE, self.span(own), message);
            let problem = problem.help("leave the key out in one place, or write the mapping out without `<<`");
            self.problems.push(problem.related(self.span(other), "it is merged from here"));
        }
        pairs.into_iter().zip(keep).filter_map(|(pair, keep)| keep.then_some(pair)).collect()
    }

    fn span(&self, index: u32) -> Span {
        self.from.get(index as usize).map_or(self.alias, |entry| entry.span)
    }

    fn name(&self, key: u32) -> &'t str {
        self.from.get(key as usize).map_or("", |entry| scalar_text(entry, self.text, self.base, self.strings))
    }
}
