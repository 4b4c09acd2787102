//! `--watch`.

use super::{DEAD, command::tree};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long a condition may take to come true on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_save_is_checked() {
    let mesh = tree(&[("malha.toml", ""), ("a.yaml", DEAD)]);
    let child = Command::new(env!("CARGO_BIN_EXE_malha"))
        .args(["check", "--watch", "--format", "concise"])
        .current_dir(mesh.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("malha starts");
    let mut watching = Watching(child);
    let out = watching.0.stdout.take().expect("it is piped");
    let (send, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let wait = |wanted: &str| {
        let mut seen = Vec::new();
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            if line.contains(wanted) {
                return;
            }
            seen.push(line);
        }
        panic!("waited in vain for `{wanted}`: {seen:?}");
    };
    wait("a.yaml:14:13: error[R001]");
    wait("1 error, 1 warning (1 object in 1 file)");
    fs::write(mesh.path().join("a.yaml"), DEAD.replace("/a/c", "/c")).expect("a save");
    wait("1 warning (1 object in 1 file)");
    fs::write(mesh.path().join("b.yaml"), DEAD.replace("shop", "other")).expect("a new file");
    wait("(2 objects in 2 files)");
    // A mistake in malha.toml is waited out.
    fs::write(mesh.path().join("malha.toml"), "[lint]\nignore = [\"Q\"]\n").expect("a save");
    fs::write(mesh.path().join("malha.toml"), "[lint]\nignore = [\"R\"]\n").expect("a save");
    wait("nothing found (2 objects in 2 files)");
}
