//! The command line of `malha check`.

use super::Paths;
use clap::{Args, ValueEnum};
use malha_syntax::Severity;
use std::path::PathBuf;

/// `malha check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    malha check                              everything below the working directory\n  \
    malha check istio/ --format concise      one line for each finding\n  \
    malha check --select correctness,H       two groups of rules, and nothing else\n  \
    malha check --fix                        mend what can be mended without a doubt\n  \
    malha check --baseline .malha.json       only what that file does not know\n  \
    helm template shop chart/ | malha check -\n\n\
    A comment `# malha: ignore[H008] reason` on or above a line silences a finding there; so does the\n\
    annotation `malha.io/ignore: H008` on an object. `malha rule CODE` explains a code.\n\
    Exit status, in every format: 0 nothing at or above --fail-on, 1 something, 2 the job could not be done.")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct CheckArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "documented where it is defined")]
    pub paths: Paths,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
    /// Only these rules, and what the cluster would refuse: codes, prefixes of codes, names or groups
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub select: Vec<String>,
    /// Not these rules
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub ignore: Vec<String>,
    /// The least severity that makes the exit status 1
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = SeverityName::Warning)]
    pub fail_on: SeverityName,
    /// Apply the fixes that change no request's treatment, then check what is left
    #[arg(long)]
    pub fix: bool,
    /// Apply the other fixes, too: look at what they changed
    #[arg(long)]
    pub unsafe_fixes: bool,
    /// Only what this file does not know; it is recognised wherever it moves
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write everything that is found to the baseline
    #[arg(long, requires = "baseline", conflicts_with_all = ["fix", "unsafe_fixes", "add_ignore", "watch"])]
    pub write_baseline: bool,
    /// Write a comment above each finding that silences it
    #[arg(long, conflicts_with_all = ["fix", "unsafe_fixes", "watch"])]
    pub add_ignore: bool,
    /// Print findings alone: no line that counts them, no notes
    #[arg(short, long, conflicts_with = "statistics")]
    pub quiet: bool,
    /// Tell how many findings each rule has, and not which
    #[arg(long)]
    pub statistics: bool,
    /// Tell where the time went, on the standard error
    #[arg(long)]
    pub timing: bool,
    /// Replay the request of every finding that has one, and fail if it does not behave as the finding says
    #[arg(long)]
    pub verify: bool,
    /// Leave out what reading a directory leaves out, though it is named: hidden and ignored files, templates of charts.
    /// For tools that name files, as pre-commit does
    #[arg(long)]
    pub force_exclude: bool,
    /// Check again after every save
    #[arg(long, conflicts_with_all = ["fix", "unsafe_fixes"])]
    pub watch: bool,
}

impl CheckArgs {
    /// Whether files are to be mended.
    pub fn fixes(&self) -> bool {
        self.fix || self.unsafe_fixes
    }
}

/// How `malha check` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// With the lines in question
    #[default]
    Pretty,
    /// One line for each finding
    Concise,
    /// One JSON document, for programs
    Json,
    /// One JSON document for each finding, on a line of its own
    Jsonl,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
    /// GitLab's code quality report
    Gitlab,
    /// JUnit XML, for CI systems
    Junit,
}

/// A severity on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "they are the severities themselves")]
pub enum SeverityName {
    Error,
    Warning,
    Info,
}

impl From<SeverityName> for Severity {
    fn from(name: SeverityName) -> Self {
        match name {
            SeverityName::Error => Severity::Error,
            SeverityName::Warning => Severity::Warning,
            SeverityName::Info => Severity::Info,
        }
    }
}
