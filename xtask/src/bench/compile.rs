//! `check` and `compile` of 10,000 VirtualServices, beside `gzip -6` of the same file.

use super::scratch;
use crate::corpus::corpus;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const VIRTUAL_SERVICES: u64 = 10_000;
const ROUNDS: usize = 7;

/// Prints the least wall time of each over some rounds taken in turn, its ratio to gzip's, and peak memory.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let malha = &binaries.join("malha");
    let directory = scratch::directory("compile")?;
    let file = directory.join("corpus.yaml");
    let text = corpus(VIRTUAL_SERVICES);
    fs::write(&file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    fs::write(directory.join("malha.toml"), "").map_err(|error| error.to_string())?;
    let table = directory.join("corpus.table");
    let commands: [(&str, Command); 3] = [
        ("gzip -6", command("gzip", &[&"-6", &"-c", &file])),
        ("malha check", command(malha, &[&"check", &file])),
        ("malha compile", command(malha, &[&"compile", &file, &"-o", &table])),
    ];
    println!("{VIRTUAL_SERVICES} VirtualServices, {:.1} MB, least of {ROUNDS} rounds\n", megabytes(text.len()));
    println!("| command | s | of gzip | peak MB |\n| --- | --- | --- | --- |");
    let mut best = [(Duration::MAX, 0); 3];
    let mut commands = commands;
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
