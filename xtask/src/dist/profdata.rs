//! `llvm-profdata`, which makes a profile of counts. It has to be of the compiler's own LLVM.

use std::{ffi::OsString, path::Path, process::Command};

/// The program.
pub(super) struct Profdata(OsString);

impl Profdata {
    /// The toolchain's own, or else the system's.
    ///
    /// # Errors
    /// Neither is there; the text says how to have one.
    pub(super) fn find() -> Result<Profdata, String> {
        let told = told(Command::new("rustc").arg("-vV"))?;
        let line = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let (host, version) = (line("host:"), line("LLVM version:"));
        let major = version.split('.').next().unwrap_or_default();
        let sysroot = self::told(Command::new("rustc").args(["--print", "sysroot"]))?;
        let own = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/llvm-profdata");
        let known = [own.into_os_string(), format!("llvm-profdata-{major}").into(), "llvm-profdata".into()];
        let fits = |program: &OsString| {
            // `LLVM version 22.1.8`, among other lines
            self::told(Command::new(program).arg("--version"))
                .is_ok_and(|told| told.contains(&format!("LLVM version {major}.")))
        };
        known.into_iter().find(fits).map(Profdata).ok_or_else(|| {
            format!(
                "there is no llvm-profdata of LLVM {major}, which rustc has; `rustup component add llvm-tools` brings \
                 it, or `apt-get install llvm-{major}`"
            )
        })
    }

    /// Makes a profile of the counts in a directory.
    ///
    /// # Errors
    /// There are none, or they cannot be read.
    pub(super) fn merge(&self, counts: &Path, profile: &Path) -> Result<(), String> {
        let partial = profile.with_extension("partial");
        told(Command::new(&self.0).args(["merge", "--output"]).arg(&partial).arg(counts))?;
        std::fs::rename(&partial, profile).map_err(|error| format!("{}: {error}", profile.display()))
    }
}

/// What a program prints.
///
/// # Errors
/// It does not start, or fails.
pub(super) fn told(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name} does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
