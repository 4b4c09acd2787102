//! `--watch`.

use super::{DEAD, command::tree};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long a condition may take to come true on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// `malha check --watch` in a directory.
struct Watching {
    child: Child,
    /// What it prints, reports and complaints.
    lines: mpsc::Receiver<String>,
}

impl Watching {
    fn start(directory: &Path) -> Watching {
        let mut child = Command::new(env!("CARGO_BIN_EXE_malha"))
            .args(["check", "--watch", "--format", "concise"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("malha starts");
        let (send, lines) = mpsc::channel();
        let (out, err) = (child.stdout.take().expect("it is piped"), child.stderr.take().expect("it is piped"));
        let pipes: [Box<dyn Read + Send>; 2] = [Box::new(out), Box::new(err)];
        for pipe in pipes {
            let send = send.clone();
            let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
            thread::spawn(move || lines.try_for_each(|line| send.send(line)));
        }
        Watching { child, lines }
    }

    fn wait(&self, wanted: &str) {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(wanted) {
                return;
            }
            seen.push(line);
        }
        panic!("waited in vain for `{wanted}`: {seen:?}");
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_save_is_checked() {
    let mesh = tree(&[("malha.toml", ""), ("a.yaml", DEAD)]);
    let watching = Watching::start(mesh.path());
    watching.wait("a.yaml:14:13: error[R001]");
    watching.wait("1 error, 1 warning (1 object in 1 file)");
    fs::write(mesh.path().join("a.yaml"), DEAD.replace("/a/c", "/c")).expect("a save");
    watching.wait("1 warning (1 object in 1 file)");
    fs::write(mesh.path().join("b.yaml"), DEAD.replace("shop", "other")).expect("a new file");
    watching.wait("(2 objects in 2 files)");
    // A mistake in malha.toml is waited out.
    fs::write(mesh.path().join("malha.toml"), "[lint]\nignore = [\"Q\"]\n").expect("a save");
    fs::write(mesh.path().join("malha.toml"), "[lint]\nignore = [\"R\"]\n").expect("a save");
    watching.wait("nothing found (2 objects in 2 files)");
}

#[test]
fn a_save_counts_though_the_settings_cannot_be_read_for_a_moment() {
    let mesh = tree(&[("malha.toml", "[mesh]\nconfig = \"mesh/config\"\n"), ("mesh/config", "{}\n"), ("a.yaml", DEAD)]);
    let watching = Watching::start(mesh.path());
    watching.wait("1 error, 1 warning (1 object in 1 file)");
    let (there, away) = (mesh.path().join("mesh/config"), mesh.path().join("mesh/away"));
    fs::rename(&there, &away).expect("it is there");
    fs::write(mesh.path().join("a.yaml"), DEAD.replace("/a/c", "/c")).expect("a save");
    watching.wait("mesh/config");
    fs::rename(&away, &there).expect("it is there");
    watching.wait("1 warning (1 object in 1 file)");
}
