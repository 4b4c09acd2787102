//! `malha` and `malha-proxy` as they are handed out. The proxy is built twice: the first build counts what it runs
//! through under load, and the second one is laid out by that.

mod profdata;
mod training;

use crate::scratch;
use profdata::Profdata;
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

/// Builds all of it in `target/dist`, and says where that is.
///
/// # Errors
/// No `llvm-profdata` is found, something does not build, or the load fails.
pub(crate) fn build() -> Result<PathBuf, String> {
    let profdata = Profdata::find()?;
    let binaries = build_without_profile(&["malha", "xtask"])?;
    let proxy = build_by_profile(&profdata, &binaries)?;
    let (place, partial) = (binaries.join(PROXY), binaries.join("malha-proxy.partial"));
    let put = fs::copy(&proxy, &partial).and_then(|_| fs::rename(&partial, &place));
    put.map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(binaries)
}

const PROXY: &str = "malha-proxy";

/// Builds these packages in `target/dist` as the compiler thinks best, and says where that is.
///
/// # Errors
/// They do not build.
pub(crate) fn build_without_profile(packages: &[&str]) -> Result<PathBuf, String> {
    let mut command = cargo_build();
    for package in packages {
        command.args(["--package", package]);
    }
    run(&mut command)?;
    Ok(target().join("dist"))
}

/// Builds the proxy by what a build that counts does under load, and says where it is. What the load needs is in
/// `binaries`.
fn build_by_profile(profdata: &Profdata, binaries: &Path) -> Result<PathBuf, String> {
    let directory = target().join("profile");
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let counts = directory.join("counts");
    let counting = build_proxy(profdata, &format!("-Cprofile-generate={}", counts.display()))?;
    // A profile is of one build. Cargo does not watch it: another one has to have another name.
    let profile = directory.join(format!("{}.profdata", digest(&counting)?));
    if !profile.exists() {
        println!("malha-proxy is put under load");
        // Those of other builds mean nothing here.
        let _ = fs::remove_dir_all(&counts);
        remove_profiles(&directory);
        training::run(&counting, binaries)?;
        profdata.merge(&counts, &profile)?;
    }
    build_proxy(profdata, &format!("-Cprofile-use={}", profile.display()))
}

/// Builds the proxy with a flag of the compiler's, which build scripts and macros are spared.
fn build_proxy(profdata: &Profdata, flag: &str) -> Result<PathBuf, String> {
    let mut flags = vec![flag];
    if profdata.host.contains("linux") {
        // What is run through much lies together, and away from the rest.
        flags.push("-Clink-arg=-Wl,-z,keep-text-section-prefix");
    }
    let mut command = cargo_build();
    command.args(["--package", PROXY, "--bin", PROXY, "--target", &profdata.host]);
    run(command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))?;
    Ok(target().join(&profdata.host).join("dist").join(PROXY))
}

fn cargo_build() -> Command {
    let mut command = Command::new("cargo");
    command.args(["build", "--profile", "dist", "--quiet"]).current_dir(scratch::root());
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    let built = command.status().map_err(|error| format!("cargo does not start: {error}"))?;
    if built.success() { Ok(()) } else { Err("malha does not build".to_owned()) }
}

/// Cargo's target directory.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| scratch::root().join("target"), PathBuf::from)
}

/// A name for what a file holds.
fn digest(file: &Path) -> Result<String, String> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// Removes the profiles of builds that are no more.
fn remove_profiles(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|end| end == "profdata") {
            let _ = fs::remove_file(entry.path());
        }
    }
}
