//! Builds by cargo, of the profile `dist`.

use super::profdata::told;
use crate::scratch;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What it builds for, and where.
pub(super) struct Cargo {
    /// As `x86_64-unknown-linux-gnu`.
    host: String,
    /// Its target directory.
    pub(super) target: PathBuf,
}

impl Cargo {
    /// Asks the compiler and cargo.
    ///
    /// # Errors
    /// One of them does not say.
    pub(super) fn find() -> Result<Cargo, String> {
        let version = told(Command::new("rustc").arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host:")).ok_or("rustc does not say its host")?;
        let mut command = Command::new("cargo");
        command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(scratch::root());
        let metadata: serde_json::Value =
            serde_json::from_str(&told(&mut command)?).map_err(|error| error.to_string())?;
        let target = metadata["target_directory"].as_str().ok_or("cargo does not say its target directory")?;
        Ok(Cargo { host: host.trim().to_owned(), target: PathBuf::from(target) })
    }

    /// Builds the program of this name, and says where it is.
    ///
    /// # Errors
    /// It does not build.
    pub(super) fn build(&self, name: &str) -> Result<PathBuf, String> {
        self.run(self.command(name, &self.target), name, &self.target)
    }

    /// Builds the proxy in a directory with a flag of the compiler's, which build scripts and macros are spared.
    ///
    /// # Errors
    /// It does not build.
    pub(super) fn build_proxy(&self, directory: &Path, flag: &str) -> Result<PathBuf, String> {
        let mut flags = vec![flag];
        if self.host == "x86_64-unknown-linux-gnu" {
            // What is run through much lies together, and away from the rest. It is lld that heeds this, and here rustc
            // links by it.
            flags.push("-Clink-arg=-Wl,-z,keep-text-section-prefix");
        }
        let mut command = self.command(PROXY, directory);
        // Flags of the environment replace those of cargo's configuration; ours come to what there is.
        if let Some(flags) = with_flags_of_environment(&flags) {
            command.env("CARGO_ENCODED_RUSTFLAGS", flags);
        } else {
            let flags = serde_json::to_string(&flags).map_err(|error| error.to_string())?;
            command.args(["--config", &format!("target.'cfg(all())'.rustflags={flags}")]);
        }
        self.run(command, PROXY, directory)
    }

    fn command(&self, name: &str, directory: &Path) -> Command {
        let mut command = Command::new("cargo");
        command.args(["build", "--profile", "dist", "--locked", "--quiet", "--package", name, "--bin", name]);
        command.args(["--target", &self.host]).arg("--target-dir").arg(directory).current_dir(scratch::root());
        command
    }

    fn run(&self, mut command: Command, name: &str, directory: &Path) -> Result<PathBuf, String> {
        println!("{name} is built");
        let built = command.status().map_err(|error| format!("cargo does not start: {error}"))?;
        if !built.success() {
            return Err(format!("{name} does not build"));
        }
        Ok(directory.join(&self.host).join("dist").join(name))
    }
}

const PROXY: &str = "malha-proxy";

/// Flags of the compiler's that the environment has, and these, as cargo reads them; none where it has none.
fn with_flags_of_environment(flags: &[&str]) -> Option<String> {
    let encoded = env::var("CARGO_ENCODED_RUSTFLAGS").ok();
    let plain = || Some(env::var("RUSTFLAGS").ok()?.split_whitespace().collect::<Vec<_>>().join("\x1f"));
    let there = encoded.or_else(plain).filter(|flags| !flags.is_empty())?;
    Some([&[there.as_str()], flags].concat().join("\x1f"))
}
