//! The one shape of everything Malha has to say about its input.

use crate::span::Location;
use serde::Serialize;

/// Why a rule exists; decides severity and whether it runs unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The cluster refuses the object, or it cannot be read. Error; stops a compile.
    Admission,
    /// A request is provably not treated as the file says. Error.
    Correctness,
    /// Probably not what is meant. Warning.
    Suspicious,
    /// Style and clarity. Info; off unless selected.
    Pedantic,
    /// Costs time or memory for nothing. Info; off unless selected.
    Performance,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Probably wrong.
    Warning,
    /// Wrong.
    Error,
}

impl Group {
    /// The severity that findings of this group have unless a user says otherwise.
    pub fn severity(self) -> Severity {
        match self {
            Group::Admission | Group::Correctness => Severity::Error,
            Group::Suspicious => Severity::Warning,
            Group::Pedantic | Group::Performance => Severity::Info,
        }
    }

    /// Whether rules of this group run unless asked not to.
    pub fn on_by_default(self) -> bool {
        matches!(self, Group::Admission | Group::Correctness | Group::Suspicious)
    }
}

/// What a rule is called, in every place that names it. Rules are `static` values of this type.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Family letter and three digits, as `Y001`.
    pub code: &'static str,
    /// Kebab-case name, as `duplicate-key`.
    pub name: &'static str,
    /// Its group.
    pub group: Group,
    /// Codes of other tools for the same thing, as `IST0101`.
    pub aliases: &'static [&'static str],
}

/// The object a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ResourceName {
    /// `VirtualService`, `Gateway`, ...
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Another place that explains a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub location: Location,
    /// What is there.
    pub message: String,
}

/// One replacement of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes to replace; empty to insert.
    pub location: Location,
    /// What to put there.
    pub text: String,
}

/// A change to the sources that makes a finding go away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Whether it keeps the treatment of every request, or only does what the message demands.
    pub safe: bool,
    /// What it does, in the imperative.
    pub title: String,
    /// The edits, none overlapping another.
    pub edits: Vec<Edit>,
}

/// A rule of a VirtualService, by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName {
    /// Namespace of the VirtualService.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `http`, `tls` or `tcp`.
    pub section: &'static str,
    /// Index of the rule in the section.
    pub index: u32,
    /// Index of the match, if the rule has one.
    pub match_index: Option<u32>,
    /// The delegate's rule, where one is merged.
    pub delegate: Option<Box<RuleName>>,
}

/// What a finding says of its witness, so that it can be held to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This rule takes it.
    TakenBy(RuleName),
    /// No rule takes it.
    NoRule {
        /// What becomes of it, as decisions say it: `not-found`.
        outcome: String,
        /// The host of its destination, if it goes anywhere.
        destination: Option<String>,
    },
}

/// One diagnostic.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static RuleInfo,
    /// How much it weighs: the group's, unless the rule knows better.
    pub severity: Severity,
    /// What is wrong, and why; one or two sentences.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// The object, where it is known.
    pub resource: Option<ResourceName>,
    /// Path of the field, as `spec.http[1].match[0]`.
    pub field: Option<String>,
    /// Where.
    pub location: Location,
    /// Places that explain it.
    pub related: Vec<Related>,
    /// A request that proves it, in the form of the request contract.
    pub witness: Option<serde_json::Value>,
    /// What the witness proves.
    pub claim: Option<Claim>,
    /// A change that makes it go away.
    pub fix: Option<Fix>,
}

impl Finding {
    /// A finding of `rule` at `location`, with nothing else said yet.
    pub fn new(rule: &'static RuleInfo, location: Location, message: impl Into<String>) -> Self {
        Finding {
            rule,
            severity: rule.group.severity(),
            message: message.into(),
            help: None,
            resource: None,
            field: None,
            location,
            related: Vec::new(),
            witness: None,
            claim: None,
            fix: None,
        }
    }

    /// Says how to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Names the object.
    #[must_use]
    pub fn resource(mut self, resource: ResourceName) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Weighs it otherwise than its group does.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn related(mut self, location: Location, message: impl Into<String>) -> Self {
        self.related.push(Related { location, message: message.into() });
        self
    }

    /// Proves it by a request.
    #[must_use]
    pub fn witness(mut self, witness: serde_json::Value, claim: Claim) -> Self {
        self.witness = Some(witness);
        self.claim = Some(claim);
        self
    }

    /// Offers a fix.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}
