//! Benches: ratios within one run, so that a slow machine is as good a judge as a fast one.

mod compile;
mod reload;
mod scratch;

use std::{path::Path, process::Command};

/// Runs the benches named, or all.
pub(crate) fn run(names: &[String]) -> Result<(), String> {
    let malha = build()?;
    let all = [("compile", compile::run as fn(&Path) -> Result<(), String>), ("reload", reload::run)];
    for name in names {
        if !all.iter().any(|(known, _)| known == name) {
            return Err(format!("no bench is called {name}; there are compile and reload"));
        }
    }
    for (name, bench) in all {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("## {name}\n");
            bench(&malha)?;
            println!();
        }
    }
    Ok(())
}

/// Builds the release binary and says where it is.
fn build() -> Result<std::path::PathBuf, String> {
    let root = scratch::root();
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--package", "malha"])
        .current_dir(&root)
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if !built.success() {
        return Err("malha does not build".to_owned());
    }
    Ok(root.join("target/release/malha"))
}
