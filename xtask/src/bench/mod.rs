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
    let binaries = build()?;
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
    for (name, bench) in all {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("## {name}\n");
            bench(&binaries)?;
            println!();
        }
    }
    Ok(())
}

/// Builds what is measured, and what measures, and says where it is.
fn build() -> Result<PathBuf, String> {
    let root = scratch::root();
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet"])
        .args(["--package", "malha", "--package", "malha-proxy", "--package", "xtask"])
        .current_dir(&root)
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if !built.success() {
        return Err("malha does not build".to_owned());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release"))
}
