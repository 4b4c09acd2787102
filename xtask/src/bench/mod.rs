//! Benches: ratios within one run, so that a slow machine is as good a judge as a fast one.

mod compile;
mod connections;
mod proxy;
mod reload;
pub(crate) mod rules;
mod tcp;

use crate::{dist, processes::Programs, scratch};
use std::path::Path;

/// Runs the benches named, or all.
pub(crate) fn run(names: &[String]) -> Result<(), String> {
    let all = [
        ("compile", compile::run as fn(&Path) -> Result<(), String>),
        ("reload", reload::run),
        ("rules", rules::run),
        ("proxy", proxy::run),
        ("tcp", tcp::run),
        ("connections", connections::run),
    ];
    for name in names {
        if !all.iter().any(|(known, _)| known == name) {
            let known = all.map(|(known, _)| known).join(", ");
            return Err(format!("no bench is called {name}; there are {known}"));
        }
    }
    let wanted = all.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name));
    let of_proxy = ["proxy", "tcp", "connections"];
    let needs_proxy = wanted.clone().any(|(name, _)| of_proxy.contains(name));
    let binaries = if needs_proxy { dist::build()? } else { dist::build_without_proxy()? };
    for (name, bench) in wanted {
        println!("## {name}\n");
        bench(&binaries)?;
        println!();
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

/// Copies of what is measured, and of what measures.
fn programs(binaries: &Path, name: &str) -> Result<Programs, String> {
    let [malha, proxy, xtask] = ["malha", "malha-proxy", "xtask"].map(|name| binaries.join(name));
    Programs::copied([&malha, &proxy, &xtask], scratch::directory(name)?)
}
