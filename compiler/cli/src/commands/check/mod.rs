//! `malha check`: names the mistakes in a mesh, and mends what it can.

mod baseline;
mod clock;
mod drafts;
mod fix;
mod ignores;
mod meshes;
mod trial;
mod verify;
mod watch;

use crate::{
    args::{CheckArgs, CheckFormat},
    failure::{Failure, Status},
    inputs::Inputs,
    progress::Progress,
    report::{self, Outcome, Silenced, SilencedBy},
    terminal,
};
use baseline::Baseline;
use clock::Clock;
use malha_syntax::Severity;
use meshes::Meshes;

/// Checks every mesh that the inputs choose.
///
/// # Errors
/// The inputs cannot be read, a selector names no rule, or what is asked for cannot be done to these inputs.
pub fn check(args: &CheckArgs) -> Result<Status, Failure> {
    if args.statistics && !matches!(args.format, CheckFormat::Pretty | CheckFormat::Concise | CheckFormat::Json) {
        return Err(Failure::new("statistics have no such format").help("they are for people, or `--format json`"));
    }
    let mut inputs = Inputs::find(&args.paths.paths)?;
    if args.force_exclude {
        inputs.exclude_by_force();
    }
    // A baseline may lie beside what it knows.
    args.baseline.iter().for_each(|baseline| inputs.pass_over(baseline));
    if inputs.have_stdin() {
        let asked = [
            (args.fixes(), "fixed", "name the files themselves"),
            (args.add_ignore, "written to", "name the files themselves"),
            (args.watch, "watched", "name the files themselves"),
        ];
        if let Some((_, what, help)) = asked.into_iter().find(|(asked, ..)| *asked) {
            return Err(Failure::new(format!("the standard input cannot be {what}")).help(help));
        }
    }
    if args.watch {
        return watch::watch(args, &inputs);
    }
    let clock = Clock::new(args.timing);
    let progress = progress(args);
    let mut meshes = Meshes::open(args, &inputs, &clock, &progress)?;
    let status = tell(args, &mut meshes, &clock, progress)?;
    // The process ends here: taking a large mesh apart would only delay that.
    std::mem::forget(meshes);
    Ok(status)
}

fn progress(args: &CheckArgs) -> Progress {
    if args.quiet { Progress::hidden() } else { Progress::on_terminal() }
}

/// Does to the meshes what the command line asks for, and tells what is left.
fn tell(args: &CheckArgs, meshes: &mut Meshes, clock: &Clock, progress: Progress) -> Result<Status, Failure> {
    // What was done is said beside the report, which may be for a program.
    let mut notes: Vec<String> = Vec::new();
    let baseline = match &args.baseline {
        Some(path) if args.write_baseline => {
            let baseline = Baseline::of(path, meshes)?;
            baseline.write()?;
            notes.push(format!("the baseline {} knows {}", path.display(), report::count(baseline.len(), "finding")));
            Some(baseline)
        }
        Some(path) => Some(Baseline::load(path)?),
        None => None,
    };
    let mut incomplete = false;
    if args.fixes() {
        progress.say("fixing");
        let done = clock.time("fix", || fix::fix(meshes, args.unsafe_fixes, baseline.as_ref(), clock))?;
        done.troubles().for_each(|trouble| eprintln!("{trouble}"));
        notes.extend(done.notes(args.unsafe_fixes));
        incomplete |= done.is_incomplete();
    }
    if args.add_ignore {
        progress.say("writing comments");
        let done = clock.time("write comments", || ignores::add(meshes, baseline.as_ref(), clock))?;
        notes.extend(done.notes());
    }
    let known = meshes.known(baseline.as_ref());
    notes.extend(baseline.iter().flat_map(|baseline| baseline.notes(&known, meshes)));
    let witnesses = if args.verify { Some(clock.time("verify", || meshes.verify())?) } else { None };
    drop(progress);

    let mut outcome = Outcome {
        summary: &report::Summary::default(),
        findings: Vec::new(),
        silenced: Vec::new(),
        files: meshes.named_files(),
        fail_on: Severity::from(args.fail_on),
    };
    let mut summary = meshes.summary();
    for placed in meshes.placed() {
        if known.holds(&placed) {
            let (finding, sources) = (placed.finding, placed.sources);
            outcome.silenced.push(Silenced { finding, sources, by: SilencedBy::Baseline });
        } else {
            summary.count([placed.finding]);
            outcome.findings.push((placed.finding, placed.sources));
        }
    }
    outcome.silenced.extend(meshes.silenced());
    outcome.summary = &summary;
    if outcome.findings.is_empty() && !args.force_exclude {
        notes.extend(summary.nothing());
    }
    let text = clock.time("report", || page(args, &outcome))?;
    terminal::print(text.as_bytes())?;
    let fails = outcome.fails();
    if let Some(witnesses) = witnesses {
        notes.push(match witnesses {
            1 => "1 witness replayed: it behaves as its finding says".to_owned(),
            _ => format!("{witnesses} witnesses replayed: each behaves as its finding says"),
        });
    }
    for note in notes.iter().filter(|_| !args.quiet) {
        eprintln!("{note}");
    }
    if args.timing {
        eprint!("{}", clock.page());
    }
    Ok(match (incomplete, fails) {
        (true, _) => Status::Incomplete,
        (_, true) => Status::Findings,
        _ => Status::Clean,
    })
}

/// The report, as the command line wants it.
fn page(args: &CheckArgs, outcome: &Outcome<'_>) -> Result<String, Failure> {
    let findings = &outcome.findings;
    let last = if args.quiet { String::new() } else { format!("{}\n", outcome.summary.line()) };
    if args.statistics {
        return report::statistics(outcome, args.format == CheckFormat::Json);
    }
    match args.format {
        CheckFormat::Pretty => {
            let page = report::pretty(findings, terminal::colour(), terminal::columns());
            Ok(format!("{page}{last}"))
        }
        CheckFormat::Concise => Ok(format!("{}{last}", report::concise(findings))),
        CheckFormat::Json => report::json(outcome),
        CheckFormat::Jsonl => report::jsonl(outcome),
        CheckFormat::Sarif => report::sarif(outcome),
        CheckFormat::Github => Ok(report::github(outcome)),
        CheckFormat::Gitlab => report::gitlab(outcome),
        CheckFormat::Junit => report::junit(outcome),
    }
}
