//! Trying changes before they are made: each is to make its findings go away, and to bring no other.

use super::{
    clock::Clock,
    drafts::{Change, Drafts},
    meshes::Meshes,
};
use crate::{failure::Failure, report};
use malha_syntax::{Finding, ResourceName, Sources};
use std::{collections::BTreeMap, path::PathBuf};

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

    /// Takes all of `candidates`, or halves them until the bad ones are found.
    fn settle(&mut self, candidates: &[Candidate]) -> Result<(), Failure> {
        let Some(why) = self.fault(candidates)? else {
            self.accepted.extend_from_slice(candidates);
            self.is_current = true;
            return Ok(());
        };
        self.is_current = false;
        if let [candidate] = candidates {
            self.refused.push(Refused { title: candidate.title.clone(), why });
            return Ok(());
        }
        let (first, second) = candidates.split_at(candidates.len() / 2);
        self.settle(first)?;
        self.settle(second)
    }

    /// Why `candidates` cannot be taken beside what is accepted; none if they can.
    fn fault(&mut self, candidates: &[Candidate]) -> Result<Option<String>, Failure> {
        if candidates.is_empty() {
            return Ok(None);
        }
        let texts = self.texts(candidates);
        self.meshes.read_instead(&self.drafts.bytes(&texts), self.clock)?;
        let mut allowed = self.before.clone();
        for mended in self.accepted.iter().chain(candidates).flat_map(|candidate| &candidate.mends) {
            if let Some(count) = allowed.get_mut(mended) {
                *count = count.saturating_sub(1);
            }
        }
        let after = census(self.meshes);
        let excess = after.iter().find(|(key, count)| allowed.get(*key).copied().unwrap_or_default() < **count);
        let Some((excess, _)) = excess else { return Ok(None) };
        if candidates.iter().any(|candidate| candidate.mends.contains(excess)) {
            return Ok(Some(format!("{} would still be found", excess.1)));
        }
        let found = self.meshes.everything().find(|(finding, sources)| key(finding, sources) == *excess);
        Ok(found.map(|(finding, sources)| {
            let line = report::range(sources, finding.location).start.line;
            let (code, name) = (finding.rule.code, finding.rule.name);
            format!("it would bring {code} {name} at {}:{line}: {}", excess.0, finding.message)
        }))
    }

    fn texts(&self, more: &[Candidate]) -> BTreeMap<PathBuf, String> {
        let changes: Vec<&Change> = self.accepted.iter().chain(more).flat_map(|candidate| &candidate.changes).collect();
        self.drafts.with(&changes)
    }
}
