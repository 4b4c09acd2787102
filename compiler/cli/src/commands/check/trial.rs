//! Trying changes before they are made: each is to make its findings go away, and to bring no other.

use super::{
    clock::Clock,
    drafts::{Change, Drafts},
    meshes::Meshes,
};
use crate::{failure::Failure, report};
use malha_syntax::{Finding, ResourceName, Sources};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Changes that belong together, and the findings that they are to make go away.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) changes: Vec<Change>,
    pub(super) mends: Vec<Key>,
    /// What it is, for people: `a.yaml:7: quote the value`.
    pub(super) title: String,
}

/// A candidate that was not taken.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) title: String,
    pub(super) why: String,
}

/// What findings are counted by. Their place and their words may change when others go.
pub(super) type Key = (String, &'static str, Option<ResourceName>);

/// What a finding is counted by.
pub(super) fn key(finding: &Finding, sources: &Sources) -> Key {
    (report::file(sources, finding.location).to_owned(), finding.rule.code, finding.resource.clone())
}

/// An object by the file it is in.
type Object<'k> = (&'k str, &'k ResourceName);

/// The object that findings of a key are about.
fn object(key: &Key) -> Option<Object<'_>> {
    Some((key.0.as_str(), key.2.as_ref()?))
}

/// How many findings of a key there are.
type Census = BTreeMap<Key, usize>;

fn census(meshes: &Meshes) -> Census {
    let mut census = Census::new();
    for (finding, sources) in meshes.everything() {
        *census.entry(key(finding, sources)).or_default() += 1;
    }
    census
}

/// One round: tries candidates that do not meet, and leaves the meshes with those that prove good.
pub(super) struct Round<'r> {
    meshes: &'r mut Meshes,
    drafts: &'r Drafts,
    clock: &'r Clock,
    before: Census,
    accepted: Vec<Candidate>,
    refused: Vec<Refused>,
    /// Whether the meshes are read with what is accepted, and nothing else.
    is_current: bool,
}

impl<'r> Round<'r> {
    /// Tries `candidates`, which do not meet; says which are good, and which are not.
    ///
    /// # Errors
    /// Files cannot be read.
    pub(super) fn run(
        meshes: &'r mut Meshes,
        drafts: &'r mut Drafts,
        candidates: &[Candidate],
        clock: &'r Clock,
    ) -> Result<(Vec<Candidate>, Vec<Refused>), Failure> {
        let before = census(meshes);
        let mut round =
            Round { meshes, drafts, clock, before, accepted: Vec::new(), refused: Vec::new(), is_current: true };
        round.settle(candidates)?;
        if !round.is_current {
            let texts = round.texts(&[]);
            round.meshes.read_instead(&round.drafts.bytes(&texts), clock)?;
        }
        let texts = round.texts(&[]);
        let Round { accepted, refused, .. } = round;
        drafts.accept(texts);
        Ok((accepted, refused))
    }

    /// Takes all of `candidates`, or sets aside the bad ones: those that alone change an object with a fault, and the
    /// rest by halves. A candidate that is blamed for another's fault has its turn in the next round.
    fn settle(&mut self, candidates: &[Candidate]) -> Result<(), Failure> {
        let faults = self.faults(candidates)?;
        if faults.is_empty() {
            self.accepted.extend_from_slice(candidates);
            self.is_current = true;
            return Ok(());
        }
        self.is_current = false;
        if let [candidate] = candidates {
            let why = faults.into_values().next().unwrap_or_default();
            self.refused.push(Refused { title: candidate.title.clone(), why });
            return Ok(());
        }
        let faults: BTreeMap<Object<'_>, &String> =
            faults.iter().filter_map(|(key, why)| Some((object(key)?, why))).rev().collect();
        let mut changed: BTreeMap<Object<'_>, usize> = BTreeMap::new();
        for object in candidates.iter().flat_map(|candidate| &candidate.mends).filter_map(object) {
            *changed.entry(object).or_default() += 1;
        }
        let is_alone = |object: &Object<'_>| changed.get(object) == Some(&1);
        let fault = |candidate: &Candidate| {
            candidate.mends.iter().filter_map(object).filter(is_alone).find_map(|object| faults.get(&object).copied())
        };
        let (bad, others): (Vec<_>, Vec<_>) = candidates.iter().partition(|candidate| fault(candidate).is_some());
        if !bad.is_empty() {
            let refused = |candidate: &&Candidate| {
                fault(candidate).map(|why| Refused { title: candidate.title.clone(), why: why.clone() })
            };
            self.refused.extend(bad.iter().filter_map(refused));
            return self.settle(&others.into_iter().cloned().collect::<Vec<_>>());
        }
        let (first, second) = candidates.split_at(candidates.len() / 2);
        self.settle(first)?;
        self.settle(second)
    }

    /// Why `candidates` cannot be taken beside what is accepted: findings that there would be too many of, with what
    /// to say of them.
    fn faults(&mut self, candidates: &[Candidate]) -> Result<BTreeMap<Key, String>, Failure> {
        if candidates.is_empty() {
            return Ok(BTreeMap::new());
        }
        let texts = self.texts(candidates);
        self.meshes.read_instead(&self.drafts.bytes(&texts), self.clock)?;
        let mut allowed = self.before.clone();
        let mut mended: BTreeSet<&Key> = BTreeSet::new();
        for key in self.accepted.iter().chain(candidates).flat_map(|candidate| &candidate.mends) {
            mended.insert(key);
            if let Some(count) = allowed.get_mut(key) {
                *count = count.saturating_sub(1);
            }
        }
        let after = census(self.meshes);
        let is_excess =
            |key: &Key| allowed.get(key).copied().unwrap_or_default() < after.get(key).copied().unwrap_or_default();
        let mut faults = BTreeMap::new();
        for (finding, sources) in self.meshes.everything() {
            let key = key(finding, sources);
            if faults.contains_key(&key) || !is_excess(&key) {
                continue;
            }
            let (code, name) = (finding.rule.code, finding.rule.name);
            let line = report::range(sources, finding.location).start.line;
            let why = if mended.contains(&key) {
                format!("{code} would still be found at {}:{line}", key.0)
            } else {
                format!("it would bring {code} {name} at {}:{line}: {}", key.0, finding.message)
            };
            faults.insert(key, why);
        }
        Ok(faults)
    }

    fn texts(&self, more: &[Candidate]) -> BTreeMap<PathBuf, String> {
        let changes: Vec<&Change> = self.accepted.iter().chain(more).flat_map(|candidate| &candidate.changes).collect();
        self.drafts.with(&changes)
    }
}
