//! The README's tour, executed as it is written: its commands, its ports, its edits.
//!
//! It needs the ports 8080 and 15000 and edits an example in place (and undoes it), so it runs only when asked for, as
//! CI does: `cargo test --workspace --test tour -- --ignored`.

#[path = "support/running.rs"]
mod running;
#[path = "support/transcript.rs"]
mod transcript;

use running::{PATIENCE, repository};
use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

#[test]
#[ignore = "takes the README's ports"]
fn the_tour_works_as_written() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("the README is there");
    let steps = transcript::steps(&readme);
    let mut mesh: Option<Mesh> = None;
    let mut tried = 0;
    for step in &steps {
        if transcript::serves(&step.command) {
            mesh = Some(Mesh::start(&step.command));
        } else if step.command.starts_with("cargo test") {
            // The tests are what this is one of.
        } else {
            transcript::run(step, &repository(), &[]);
            tried += 1;
        }
    }
    assert!(mesh.is_some() && tried > 5, "the README has lost its tour");
    let _ = fs::remove_file(repository().join("path-routes.table"));
}

/// The mesh of the first command. Shell and cargo replace themselves by what they run, so the child is malha itself.
struct Mesh(Child);

impl Mesh {
    fn start(command: &str) -> Mesh {
        let child = Command::new("bash")
            .args(["-c", &format!("exec {command}")])
            .current_dir(repository())
            .stdin(Stdio::null())
            .spawn()
            .expect("the mesh starts");
        let mut mesh = Mesh(child);
        let started = Instant::now();
        // The first command builds Malha, if it is not built yet.
        while TcpStream::connect(("127.0.0.1", 8080)).is_err() {
            let ended = mesh.0.try_wait().expect("the child can be asked");
            assert!(ended.is_none() && started.elapsed() < 20 * PATIENCE, "the mesh did not start: {ended:?}");
            thread::sleep(Duration::from_millis(50));
        }
        mesh
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}
