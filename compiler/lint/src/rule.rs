//! What a rule is: its names, its documentation, its examples, its detection.

use crate::{evidence::Known, fix::References, proof::Proofs};
use malha_mesh::{Mesh, program::Program};
use malha_syntax::{Finding, RuleInfo, Sources};

/// One rule. Each lives in a file of its own under `rules/`.
pub struct Rule {
    /// Code, name, group, aliases.
    pub info: &'static RuleInfo,
    /// What it finds, in a sentence or two.
    pub what: &'static str,
    /// What becomes of it in a cluster: why it matters.
    pub why: &'static str,
    /// Input on which exactly this rule fires.
    pub bad: Example,
    /// The same, mended: no rule fires.
    pub good: Example,
    /// Facts of docs/semantics.md that it rests on.
    pub facts: &'static [&'static str],
    /// Finds it. None for rules that reading already decides.
    pub check: Option<Check>,
}

impl Rule {
    /// Whether `name` is its code, its name or an alias of it, whatever its case. Several rules may have one alias.
    pub fn is_called(&self, name: &str) -> bool {
        let info = self.info;
        let mut names = [info.code, info.name].into_iter().chain(info.aliases.iter().copied());
        names.any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Appends what a rule finds.
pub type Check = fn(&Context<'_>, &mut Vec<Finding>);

/// What a rule may look at.
pub struct Context<'a> {
    /// The linked mesh.
    pub mesh: &'a Mesh,
    /// What it was lowered to, for its gateways and the default sidecar.
    pub program: &'a Program,
    /// The texts that the mesh was read from, where they are at hand.
    pub sources: Option<&'a Sources>,
    /// The time, in seconds since 1970, where it is told.
    pub now: Option<i64>,
    /// The names of what there is.
    pub(crate) known: Known,
    pub(crate) references: References,
    pub(crate) proofs: Proofs<'a>,
}

impl<'a> Context<'a> {
    /// What rules may look at of a mesh and its program.
    pub fn new(mesh: &'a Mesh, program: &'a Program) -> Context<'a> {
        Context {
            mesh,
            program,
            sources: None,
            now: None,
            known: Known::default(),
            references: References::default(),
            proofs: Proofs::default(),
        }
    }

    /// The same, with the texts at hand.
    #[must_use]
    pub fn with_sources(self, sources: Option<&'a Sources>) -> Context<'a> {
        Context { sources, ..self }
    }
}

/// An example: a text, or bytes that no text can show.
pub struct Example {
    /// As documentation shows it.
    pub shown: &'static str,
    /// Makes the bytes, where they are not those of `shown`.
    pub make: Option<fn() -> Vec<u8>>,
}

impl Example {
    /// An example that is what it shows.
    pub(crate) const fn yaml(shown: &'static str) -> Example {
        Example { shown, make: None }
    }

    /// An example that documentation can only describe.
    pub(crate) const fn made(shown: &'static str, make: fn() -> Vec<u8>) -> Example {
        Example { shown, make: Some(make) }
    }

    /// The input itself.
    pub fn bytes(&self) -> Vec<u8> {
        self.make.map_or_else(|| self.shown.as_bytes().to_vec(), |make| make())
    }
}
