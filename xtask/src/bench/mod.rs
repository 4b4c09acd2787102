//! Benches: ratios within one run, so that a slow machine is as good a judge as a fast one.

mod byte_parts;
mod compile;
mod connections;
pub(crate) mod parts;
mod processes;
mod proxy;
mod reload;
mod scratch;
mod tcp;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Runs the benches named, or all.
pub(crate) fn run(names: &[String]) -> Result<(), String> {
    let all = [
        ("compile", compile::run as fn(&Path) -> Result<(), String>),
        ("proxy", proxy::run),
        ("tcp", tcp::run),
        ("connections", connections::run),
        ("reload", reload::run),
    ];
    for name in names {
        if !all.iter().any(|(known, _)| known == name) {
            let known = all.map(|(known, _)| known).join(", ");
            return Err(format!("no bench is called {name}; there are {known}"));
        }
    }
    let binaries = build()?;
    for (name, bench) in all {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("## {name}\n");
            bench(&binaries)?;
            println!();
        }
    }
    Ok(())
}

/// One round on each of two sides; of an even pair the other one is first, since whoever is second may find the machine
/// warmer.
fn pair_of_rounds<S: Copy, R>(
    pair: usize,
    (plain, ours): (S, S),
    mut round: impl FnMut(S) -> Result<R, String>,
) -> Result<(R, R), String> {
    if pair.is_multiple_of(2) {
        let ours = round(ours)?;
        return Ok((round(plain)?, ours));
    }
    Ok((round(plain)?, round(ours)?))
}

/// Builds what is measured, and what measures, and says where it is.
fn build() -> Result<PathBuf, String> {
    let root = scratch::root();
    let built = Command::new("cargo")
        .args(["build", "--profile", "dist", "--quiet"])
        .args(["--package", "malha", "--package", "malha-proxy", "--package", "xtask"])
        .current_dir(&root)
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if !built.success() {
        return Err("malha does not build".to_owned());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("dist"))
}
