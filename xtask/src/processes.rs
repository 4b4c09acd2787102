//! Processes that benches measure, and measure between: parts of this program, and `malha-proxy` as people run it.

use crate::parts;
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Programs that stay what they are while a bench lasts.
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Copies of `malha`, `malha-proxy` and `xtask`, since another build may replace those while they run.
    pub(crate) fn copied(originals: [&Path; 3], directory: PathBuf) -> Result<Programs, String> {
        for (name, original) in ["malha", "malha-proxy", "xtask"].into_iter().zip(originals) {
            let copied = fs::copy(original, directory.join(name));
            copied.map_err(|error| format!("{}: {error}", original.display()))?;
        }
        Ok(Programs(directory))
    }

    /// A part of the bench, yet to be started.
    pub(crate) fn part(&self, words: &[&str]) -> Command {
        let mut command = many_files(&self.0.join("xtask"));
        command.arg(parts::TASK).args(words);
        command
    }

    /// `malha-proxy` as people run it, but for its ports: with its access log, to `/dev/null`, and its metrics.
    pub(crate) fn proxy(&self, mesh: &str, workers: &str) -> Result<Proxy, String> {
        let at = |name: &str| self.0.join(name);
        let (file, table, ready) = (at("mesh.yaml"), at("table"), at("ready.json"));
        fs::write(&file, mesh).map_err(|error| error.to_string())?;
        fs::write(at("malha.toml"), "").map_err(|error| error.to_string())?;
        let compiled = Command::new(at("malha"))
            .arg("compile")
            .args([&file])
            .arg("-o")
            .arg(&table)
            .output()
            .map_err(|error| format!("malha does not start: {error}"))?;
        if !compiled.status.success() {
            return Err(format!("the mesh does not compile: {}", String::from_utf8_lossy(&compiled.stderr)));
        }
        // It is written anew, and tells of this process then.
        let _ = fs::remove_file(&ready);
        let log = at("malha-proxy.log");
        let told = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let child = many_files(&at("malha-proxy"))
            .arg(&table)
            .args(["--ephemeral", "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cores", workers])
            .args(["--access-log", "/dev/null", "--ready-file"])
            .arg(&ready)
            // One that counts writes its counts where it was built to.
            .env_remove("LLVM_PROFILE_FILE")
            .stdin(Stdio::null())
            .stderr(told)
            .spawn()
            .map_err(|error| format!("malha-proxy does not start: {error}"))?;
        let mut running = Running { child, told: String::new() };
        let started = Instant::now();
        while !ready.exists() {
            let ended = running.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                return Err(format!("malha-proxy did not become ready; {} says why", log.display()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = fs::read_to_string(&ready).map_err(|error| error.to_string())?;
        Ok(Proxy { running, ready: serde_json::from_str(&text).map_err(|error| error.to_string())? })
    }
}

/// So long a program may take for what it has to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a program to its end, and gives what it printed.
pub(crate) fn finish(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
    let ended = wait(&mut child);
    let output = child.wait_with_output().map_err(|error| format!("{name}: {error}"))?;
    if ended.is_ok() && output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} failed: {}", told.trim().lines().next_back().unwrap_or("it does not say why")))
}

/// Waits until a process has ended; one that does not is ended.
fn wait(child: &mut Child) -> Result<ExitStatus, String> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    Err("it does not end".to_owned())
}

/// A program that may open as many files as the system lets it.
fn many_files(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{MORE_FILES}; exec \"$0\" \"$@\"")]).arg(program);
    command
}

/// What is enough, or else what there is.
const MORE_FILES: &str = "ulimit -n 65536 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"";

/// How many files a process of the bench may open.
pub(crate) fn files() -> Result<usize, String> {
    let asked = Command::new("sh").args(["-c", &format!("{MORE_FILES}; ulimit -n")]).output();
    let told = asked.map_err(|error| format!("sh does not start: {error}"))?;
    let told = String::from_utf8_lossy(&told.stdout);
    match told.trim() {
        "unlimited" => Ok(usize::MAX),
        number => number.parse().map_err(|_| format!("`ulimit -n` says `{number}`")),
    }
}

/// A process of the bench; ended when dropped.
pub(crate) struct Running {
    child: Child,
    /// Its first line; of what listens, where.
    pub(crate) told: String,
}

impl Running {
    /// One that says on its first line where it listens, or that it has come so far.
    pub(crate) fn part(command: &mut Command) -> Result<Running, String> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let child = started.map_err(|error| format!("a part of the bench does not start: {error}"))?;
        let mut running = Running { child, told: String::new() };
        let told = running.child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(told.take(100)).read_line(&mut line).map_err(|error| error.to_string())?;
        line.trim().clone_into(&mut running.told);
        if running.told.is_empty() {
            return Err("a part of the bench ended before it had begun".to_owned());
        }
        Ok(running)
    }

    /// The port of where it listens.
    pub(crate) fn port(&self) -> &str {
        self.told.rsplit(':').next().unwrap_or_default()
    }

    /// The time that its threads, and no others, have spent on processors, as the kernel tells in nanoseconds.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let said = |error: std::io::Error| format!("{tasks}: {error}");
        let mut sum = 0;
        for task in fs::read_dir(&tasks).map_err(said)? {
            let told = fs::read_to_string(task.map_err(said)?.path().join("schedstat")).map_err(said)?;
            sum += told.split(' ').next().and_then(|time| time.parse::<u64>().ok()).ok_or("no schedstat")?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let asked = asked.map_err(|error| format!("kill does not start: {error}"))?;
        let status = wait(&mut self.child)?;
        if asked.success() && status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
    }

    /// Bytes of its memory that are resident.
    pub(crate) fn memory(&self) -> Result<u64, String> {
        let status = format!("/proc/{}/status", self.child.id());
        let told = fs::read_to_string(&status).map_err(|error| format!("{status}: {error}"))?;
        let mut sizes = told.lines().filter_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let size = sizes.next().and_then(|size| size.trim().parse::<u64>().ok());
        size.map(|size| size * 1024).ok_or_else(|| format!("{status} has no VmRSS"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `malha-proxy`, and what it said of itself.
pub(crate) struct Proxy {
    pub(crate) running: Running,
    ready: serde_json::Value,
}

impl Proxy {
    /// Where its gateway listens for this port of the mesh.
    pub(crate) fn gateway(&self, port: u16) -> Result<&str, String> {
        let mut listeners = self.ready["listeners"].as_array().into_iter().flatten();
        let found = listeners.find(|one| one["role"] == "gateway" && one["port"] == port);
        found.and_then(|one| one["address"].as_str()).ok_or_else(|| format!("no gateway listens for port {port}"))
    }
}
