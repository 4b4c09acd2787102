//! `check` and `compile` of 10,000 VirtualServices, beside `gzip -6` of the same file; and the same mesh in many files, of
//! which one is checked, as before a commit.

use crate::{corpus::corpus, scratch};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const VIRTUAL_SERVICES: u64 = 10_000;
const ROUNDS: usize = 7;

/// How many objects a file has, where there are many.
const OBJECTS_OF_FILE: usize = 10;

/// Prints the least wall time of each over some rounds taken in turn, its ratio to gzip's, and peak memory.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let malha = &binaries.join("malha");
    let directory = scratch::directory("compile")?;
    let file = directory.join("corpus.yaml");
    let text = corpus(VIRTUAL_SERVICES);
    fs::write(&file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    fs::write(directory.join("malha.toml"), "").map_err(|error| error.to_string())?;
    let table = directory.join("corpus.table");
    let (many, changed) = in_many_files(&text)?;
    let mut commands: [(&str, Command); 4] = [
        ("gzip -6", command("gzip", &[&"-6", &"-c", &file])),
        ("malha check", command(malha, &[&"check", &file])),
        ("malha check, one file of many", command(malha, &[&"check", &changed])),
        ("malha compile", command(malha, &[&"compile", &file, &"-o", &table])),
    ];
    println!(
        "{VIRTUAL_SERVICES} VirtualServices, {:.1} MB, or {many} files; least of {ROUNDS} rounds\n",
        megabytes(text.len())
    );
    println!("| command | s | of gzip | peak MB |\n| --- | --- | --- | --- |");
    let mut best = [(Duration::MAX, 0); 4];
    for _ in 0..ROUNDS {
        for ((name, command), best) in commands.iter_mut().zip(&mut best) {
            let (took, peak) = measure(command).map_err(|error| format!("{name}: {error}"))?;
            *best = (best.0.min(took), best.1.max(peak));
        }
    }
    for ((name, _), (took, peak)) in commands.iter().zip(best) {
        let ratio = took.as_secs_f64() / best[0].0.as_secs_f64();
        println!("| {name} | {:.3} | {ratio:.2} | {:.0} |", took.as_secs_f64(), megabytes(peak));
    }
    Ok(())
}

/// Lays out a mesh in files of some objects each; says how many there are, and which is in their middle.
fn in_many_files(text: &str) -> Result<(usize, PathBuf), String> {
    let directory = scratch::directory("compile-files")?;
    let failed = |error: io::Error| format!("{}: {error}", directory.display());
    fs::write(directory.join("malha.toml"), "").map_err(failed)?;
    let objects: Vec<&str> = text.split("---\n").collect();
    let files: Vec<String> = objects.chunks(OBJECTS_OF_FILE).map(|objects| objects.join("---\n")).collect();
    let place = |at: usize| {
        let below = directory.join(format!("team-{:02}", at % 20));
        (below.clone(), below.join(format!("part-{at}.yaml")))
    };
    for (at, file) in files.iter().enumerate() {
        let (below, path) = place(at);
        fs::create_dir_all(below).and_then(|()| fs::write(path, file)).map_err(failed)?;
    }
    Ok((files.len(), place(files.len() / 2).1))
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Wall time, and the peak of resident memory in bytes as the kernel last told it.
fn measure(command: &mut Command) -> Result<(Duration, usize), String> {
    let started = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let status = format!("/proc/{}/status", child.id());
    let watch = thread::spawn(move || {
        let mut peak = 0;
        while let Some(now) = fs::read_to_string(&status).ok().as_deref().and_then(high_water_mark) {
            peak = peak.max(now);
            thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    let ended = child.wait().map_err(|error| error.to_string())?;
    let took = started.elapsed();
    let peak = watch.join().unwrap_or_default();
    if ended.success() { Ok((took, peak)) } else { Err(format!("ended with {ended}")) }
}

/// `VmHWM` of a process; none once it has ended.
fn high_water_mark(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kilobytes| kilobytes * 1024)
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
