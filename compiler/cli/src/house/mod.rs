//! A house's own policies: JSON Schemas by kind (`[lint.schemas]`), and conditions in CEL (`[[lint.policy]]`).
//!
//! They are asked about every object of the files that the inputs name, of whatever kind. Both read the objects as the
//! files have them, so each finding has the place of the field that it is about.

mod budget;
mod cost;
mod object;
mod parts;
mod policy;
mod schema;

use crate::{config::LintSection, failure::Failure, inputs::MeshInput, workspace::Workspace};
use malha_lint::{Example, Rule};
use malha_syntax::{Document, Finding, Group, RuleInfo, Source, SourceId, nearest, read_each};
use object::Object;
use policy::Policy;
use rayon::prelude::*;
use schema::Schema;
use std::{collections::BTreeMap, sync::Arc};

static SCHEMA: RuleInfo = RuleInfo { code: "X001", name: "house-schema", group: Group::Suspicious, aliases: &[] };

static POLICY: RuleInfo = RuleInfo { code: "X002", name: "house-policy", group: Group::Suspicious, aliases: &[] };

static SCHEMA_RULE: Rule = Rule {
    info: &SCHEMA,
    what: "An object is not as one of the house's own JSON Schemas says. Nothing is found without `[lint.schemas]` in malha.toml.",
    why: "The cluster takes the object; the team agreed on more. The schemas are asked about objects as the files have them: scalars as \
          Kubernetes reads them, aliases resolved.",
    bad: Example {
        shown: "# malha.toml:
# [lint.schemas]
# VirtualService = \"policies/virtual-service.json\"
#
# policies/virtual-service.json:
# {\"properties\": {\"metadata\": {\"required\": [\"labels\"]}}}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - directResponse: {status: 503}
",
        make: None,
    },
    good: Example {
        shown: "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
  labels: {team: shop}
spec:
  hosts: [shop.example.com]
  http:
    - directResponse: {status: 503}
",
        make: None,
    },
    facts: &[],
    check: None,
};

static POLICY_RULE: Rule = Rule {
    info: &POLICY,
    what: "A condition of the house does not hold for an object, or cannot be decided. Nothing is found without `[[lint.policy]]` in malha.toml.",
    why: "The cluster takes the object; the team agreed on more. A condition that cannot be decided, as one that reads a field that \
          the object does not have, is no condition that holds: guard it with `has(...)`.",
    bad: Example {
        shown: "# malha.toml:
# [[lint.policy]]
# name = \"timeouts\"
# kind = \"VirtualService\"
# check = \"object.spec.http.all(rule, has(rule.timeout))\"
# message = \"every rule has a timeout\"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - route: [{destination: {host: cart}}]
",
        make: None,
    },
    good: Example {
        shown: "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.example.com]
  http:
    - route: [{destination: {host: cart}}]
      timeout: 5s
",
        make: None,
    },
    facts: &[],
    check: None,
};

/// The rules of this module, by code.
pub(crate) static RULES: &[&Rule] = &[&SCHEMA_RULE, &POLICY_RULE];

/// What the malha.toml of a mesh demands of its objects.
pub(crate) struct House {
    /// What it is made from: the section of malha.toml; the schemas know their texts.
    section: LintSection,
    /// By kind.
    schemas: BTreeMap<String, Vec<Schema>>,
    policies: Vec<Policy>,
}

impl House {
    /// Reads and compiles what a mesh's `[lint]` names.
    ///
    /// # Errors
    /// A schema cannot be read or is none, a condition is no CEL, or a kind is misspelt.
    pub(crate) fn load(input: &MeshInput) -> Result<House, Failure> {
        House::compile(input).map_err(|failure| failure.within(&input.config.lint.file))
    }

    fn compile(input: &MeshInput) -> Result<House, Failure> {
        let LintSection { schemas, policies, .. } = &input.config.lint;
        let section = input.config.lint.clone();
        let mut house = House { section, schemas: BTreeMap::new(), policies: Vec::new() };
        for (kind, path) in schemas {
            know_kind("lint.schemas", kind)?;
            let schema = Schema::load(&input.root, path)?;
            house.schemas.entry(kind.clone()).or_default().push(schema);
        }
        for policy in policies {
            let place = format!("lint.policy `{}`", policy.name);
            policy.kinds.iter().try_for_each(|kind| know_kind(&place, kind))?;
            house.policies.push(Policy::compile(policy).map_err(|failure| failure.within(&place))?);
        }
        Ok(house)
    }

    /// Whether there is nothing to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.schemas.is_empty() && self.policies.is_empty()
    }

    /// Whether it demands the same as another.
    pub(crate) fn is_same(&self, other: &House) -> bool {
        let texts = |house: &House| house.schemas.values().flatten().map(Schema::hash).collect::<Vec<_>>();
        self.section == other.section && texts(self) == texts(other)
    }

    /// Everything that the objects of the named files lack.
    pub(crate) fn check(&self, workspace: &Workspace) -> Vec<Finding> {
        if self.is_empty() {
            return Vec::new();
        }
        let named = workspace.read_files().filter(|(file, read)| file.named && !read.tests.whole_file);
        let ids = named.map(|(_, read)| read.source);
        let sources = ids.filter_map(|id| Some((id, workspace.files().sources().get(id)?)));
        let sources: Vec<(SourceId, &Arc<Source>)> = sources.collect();
        let found = sources.into_par_iter().map(|(id, source)| {
            let read = read_each(id, &source.text, |document| self.check_document(&document));
            read.documents.concat()
        });
        found.flatten().collect()
    }

    fn check_document(&self, document: &Document) -> Vec<Finding> {
        let mut findings = Vec::new();
        // What is refused was not read whole, so nothing can be said of what it lacks.
        if document.refused || document.template.is_some() {
            return findings;
        }
        for object in object::objects(document) {
            let Object { kind, .. } = object;
            for schema in self.schemas.get(kind).into_iter().flatten() {
                schema.check(&object, &mut findings);
            }
            for policy in self.policies.iter().filter(|policy| policy.is_about(kind)) {
                findings.extend(policy.check(&object));
            }
        }
        findings
    }
}

/// Refuses a kind that is almost one of ours: what is asked of it would never be asked.
fn know_kind(place: &str, kind: &str) -> Result<(), Failure> {
    if malha_model::SCHEMA_KINDS.contains(&kind) {
        return Ok(());
    }
    let meant = nearest(kind, malha_model::SCHEMA_KINDS).filter(|meant| meant.len().abs_diff(kind.len()) <= 2);
    match meant {
        Some(meant) => {
            Err(Failure::new(format!("{place}: there is no kind `{kind}`")).help(format!("did you mean `{meant}`?")))
        }
        None => Ok(()),
    }
}
