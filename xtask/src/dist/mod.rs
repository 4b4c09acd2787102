//! `malha` and `malha-proxy` as they are handed out. The proxy is built twice: the first build counts what it runs
//! through under load, and the second one is laid out by that.

mod cargo;
mod profdata;
mod training;

use crate::scratch;
use cargo::Cargo;
use profdata::Profdata;
use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

/// Builds `malha`, `malha-proxy` and this program, the proxy by its profile, and says in which directory they are.
///
/// # Errors
/// No `llvm-profdata` is found, something does not build, or the load fails.
pub(crate) fn build() -> Result<PathBuf, String> {
    let profdata = Profdata::find()?;
    let cargo = Cargo::find()?;
    let directory = cargo.target.join("profile");
    scratch::make(&directory)?;
    // Two at once would take each other's builds for their own.
    let lock = directory.join("lock");
    let lock = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| format!("{}: {error}", directory.display()))?;
    let [malha, xtask] = [cargo.build("malha")?, cargo.build("xtask")?];
    let proxy = build_by_profile(&cargo, &profdata, &directory, [&malha, &xtask])?;
    gather(&cargo, [&malha, &proxy, &xtask])
}

/// Builds `malha` and this program, but no proxy, and says in which directory they are.
///
/// # Errors
/// They do not build.
pub(crate) fn build_without_proxy() -> Result<PathBuf, String> {
    let cargo = Cargo::find()?;
    let [malha, xtask] = [cargo.build("malha")?, cargo.build("xtask")?];
    gather(&cargo, [&malha, &xtask])
}

/// Builds the proxy by what a build that counts does under load.
fn build_by_profile(
    cargo: &Cargo,
    profdata: &Profdata,
    directory: &Path,
    [malha, xtask]: [&Path; 2],
) -> Result<PathBuf, String> {
    let counts = directory.join("counts");
    let counting = cargo.build_proxy(&cargo.target, &format!("-Cprofile-generate={}", counts.display()))?;
    let built = directory.join("build");
    // A profile is of one build, and of one load.
    let profile = directory.join(format!("{}.profdata", digest([&counting, xtask])?));
    if !profile.exists() {
        println!("malha-proxy is put under load");
        // Cargo would not see that what it built is of another profile.
        for old in [&counts, &built] {
            scratch::remove(old)?;
        }
        remove_profiles(directory);
        training::run([malha, &counting, xtask])?;
        profdata.merge(&counts, &profile)?;
    }
    cargo.build_proxy(&built, &format!("-Cprofile-use={}", profile.display()))
}

/// Copies programs to where they are found together, and where no other build replaces them.
fn gather<const N: usize>(cargo: &Cargo, programs: [&Path; N]) -> Result<PathBuf, String> {
    let directory = cargo.target.join("programs");
    scratch::make(&directory)?;
    for program in programs {
        let place = directory.join(program.file_name().unwrap_or_default());
        let partial = place.with_extension("partial");
        let put = fs::copy(program, &partial).and_then(|_| fs::rename(&partial, &place));
        put.map_err(|error| format!("{}: {error}", place.display()))?;
    }
    Ok(directory)
}

/// A name for what files hold.
fn digest(files: [&Path; 2]) -> Result<String, String> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        bytes.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Removes the profiles of builds that are no more.
fn remove_profiles(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|end| end == "profdata" || end == "partial") {
            let _ = fs::remove_file(entry.path());
        }
    }
}
