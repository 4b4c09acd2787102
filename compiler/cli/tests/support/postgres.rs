//! A database server of the test's own: its data in a directory that goes with it, on loopback, by a user without
//! privileges.

use crate::running::wait_for;
use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// Whom the server runs as where the test is root, which it refuses.
const USER: &str = "nobody";

/// A running server; ended when dropped.
pub(crate) struct Postgres {
    pub(crate) port: u16,
    child: Child,
    _data: TempDir,
}

impl Postgres {
    /// A server that takes the user `shop` without a password; none: it is not installed.
    pub(crate) fn start() -> Option<Postgres> {
        let programs = programs()?;
        // Somebody else may take a port between its being found free and the server.
        Some((0..5).find_map(|_| Postgres::try_start(&programs)).expect("PostgreSQL starts"))
    }

    fn try_start(programs: &Path) -> Option<Postgres> {
        let data = TempDir::new().expect("a directory");
        let is_root = fs::metadata(data.path()).expect("it is there").uid() == 0;
        if is_root {
            let chown = Command::new("chown").arg(USER).arg(data.path()).status().expect("chown runs");
            assert!(chown.success());
        }
        let command = |program: &str| {
            let path = programs.join(program);
            let mut command = if is_root { Command::new("setpriv") } else { Command::new(&path) };
            if is_root {
                command.args(["--reuid", USER, "--clear-groups"]).arg(&path);
            }
            command.current_dir(data.path());
            command
        };
        let made = command("initdb")
            .args(["--pgdata=data", "--username=shop", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"])
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut child = command("postgres")
            .args(["-D", "data", "-p", &port.to_string(), "-h", "127.0.0.1", "-k", "", "-F"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres starts");
        let mut has_ended = false;
        wait_for("PostgreSQL", || {
            has_ended = child.try_wait().expect("it can be asked").is_some();
            has_ended || is_ready(port)
        });
        (!has_ended).then_some(Postgres { port, child, _data: data })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown: its own processes end with it.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// Whether the server answers whoever asks for TLS: that it has none.
fn is_ready(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0];
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"N"
}

/// The directory of the server's programs: where Debian has it, else on the path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let versions = versions.map(|version| version.path().join("bin"));
    let of_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut known = versions.chain(of_path.into_iter().flatten());
    known.find(|directory| directory.join("postgres").is_file() && directory.join("initdb").is_file())
}
