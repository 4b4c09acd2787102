//! Sockets without an address on the network that listeners are open at: files, or abstract names of Linux (semantics E39).

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// What a table writes before the name of such a socket.
const SCHEME: &str = "unix://";

/// The path of a socket, or an abstract name after `@`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SocketName(Arc<str>);

impl SocketName {
    /// That which a table writes, as `unix:///var/run/shop.sock`; none: it writes no whole path and no name after `@`.
    pub(crate) fn of(written: &str) -> Option<SocketName> {
        let name = written.strip_prefix(SCHEME)?;
        let is_name = name.starts_with('/') || name.strip_prefix('@').is_some_and(|name| !name.is_empty());
        (is_name && !name.contains('\0')).then(|| SocketName(name.into()))
    }

    /// The path, or the name with its `@`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, if it is an abstract one.
    fn abstract_name(&self) -> Option<&str> {
        self.0.strip_prefix('@')
    }

    /// Another that nobody else has, for where this one is taken or cannot be had: the abstract name with a number, or a
    /// file in a directory of its own.
    fn free(&self) -> io::Result<(SocketName, Option<PathBuf>)> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let process = std::process::id();
        let mut number = NEXT.fetch_add(1, Ordering::Relaxed);
        if self.abstract_name().is_some() {
            return Ok((SocketName(format!("{}-{process}-{number}", self.0).into()), None));
        }
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let directory = loop {
            let directory = std::env::temp_dir().join(format!("malha-{process}-{number}"));
            match builder.create(&directory) {
                // Another process of this number has left it behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MOST_TRIED => {
                    number = NEXT.fetch_add(1, Ordering::Relaxed);
                }
                made => break made.map(|()| directory)?,
            }
        };
        let file = Path::new(&*self.0).file_name().unwrap_or_else(|| "socket".as_ref());
        let path = directory.join(file).to_string_lossy().into_owned();
        Ok((SocketName(path.into()), Some(directory)))
    }
}

/// The number that is tried last for a directory of its own.
const MOST_TRIED: u32 = 10_000;

/// As a table writes it.
impl fmt::Display for SocketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.0)
    }
}

/// The file of an open socket: it goes with this, unless another has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// What tells it from another at that path.
    identity: Option<(u64, u64)>,
    /// A directory that was made for it.
    directory: Option<PathBuf>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whatever cannot be removed stays.
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// Device and number of a file, if it is a socket.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let found = std::fs::symlink_metadata(path).ok().filter(|found| found.file_type().is_socket())?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

/// What listens at a socket: the socket itself, its name, and its file, if it has one.
#[cfg(unix)]
pub(crate) type OpenSocket = (std::os::unix::net::UnixListener, SocketName, Option<SocketFile>);

/// Opens a socket at `name`; elsewhere if `is_elsewhere` or where its directory is not there or not this process's to
/// write in. The file of a socket on which nobody listens any more makes room.
#[cfg(unix)]
pub(crate) fn listen(name: &SocketName, is_elsewhere: bool) -> io::Result<OpenSocket> {
    if !is_elsewhere {
        match listen_at(name, None) {
            Err(error) if is_no_place(&error) && name.abstract_name().is_none() => {}
            opened => return opened,
        }
    }
    let (name, directory) = name.free()?;
    listen_at(&name, directory.clone()).inspect_err(|_| {
        if let Some(directory) = directory {
            let _ = std::fs::remove_dir(directory);
        }
    })
}

#[cfg(unix)]
fn is_no_place(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem)
}

#[cfg(unix)]
fn listen_at(name: &SocketName, directory: Option<PathBuf>) -> io::Result<OpenSocket> {
    use std::os::unix::net::UnixListener;
    if let Some(abstract_name) = name.abstract_name() {
        let listener = listen_abstract(abstract_name)?;
        listener.set_nonblocking(true)?;
        return Ok((listener, name.clone(), None));
    }
    let path = PathBuf::from(&*name.0);
    let listener = match UnixListener::bind(&path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let Some(found) = identity(&path) else {
                return Err(io::Error::new(error.kind(), "there is a file, and it is no socket"));
            };
            // What has come there meanwhile is not what was asked.
            if !is_stale(&path) || identity(&path) != Some(found) {
                return Err(error);
            }
            std::fs::remove_file(&path)?;
            UnixListener::bind(&path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    let identity = identity(&path);
    Ok((listener, name.clone(), Some(SocketFile { path, identity, directory })))
}

/// Whether nobody listens there any more. One whose queue is full does, and is not waited for.
#[cfg(unix)]
fn is_stale(path: &Path) -> bool {
    let connected = socket2::SockAddr::unix(path).and_then(|address| {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&address)
    });
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(target_os = "linux")]
fn listen_abstract(name: &str) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    };
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn listen_abstract(_: &str) -> io::Result<std::os::unix::net::UnixListener> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "abstract names are Linux's alone"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn name(path: &Path) -> SocketName {
        SocketName::of(&format!("unix://{}", path.display())).unwrap()
    }

    #[test]
    fn a_stale_socket_makes_room_and_nothing_else_does() {
        let directory = std::env::temp_dir().join(format!("malha-stale-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("a.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "whoever listened left it behind");
        let (first, shown, file) = listen(&name(&path), false).unwrap();
        assert_eq!(shown.to_string(), format!("unix://{}", path.display()));
        assert_eq!(listen(&name(&path), false).unwrap_err().kind(), io::ErrorKind::AddrInUse, "somebody listens");
        drop((first, file));
        assert!(!path.exists(), "it goes with its listener");
        std::fs::write(&path, "no socket").unwrap();
        assert!(listen(&name(&path), false).unwrap_err().to_string().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "no socket");
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn only_whole_paths_and_names_are_sockets() {
        for written in
            ["unix://", "unix://@", "unix://shop.sock", "shop.sock", "/shop.sock", "unix:///a\0b", "10.0.0.1"]
        {
            assert_eq!(SocketName::of(written), None, "{written}");
        }
        assert_eq!(SocketName::of("unix://@shop").unwrap().as_str(), "@shop");
    }

    #[test]
    fn one_that_is_bound_and_whose_queue_is_full_is_waited_for_by_nobody() {
        let directory = std::env::temp_dir().join(format!("malha-full-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("a.sock");
        let address = socket2::SockAddr::unix(&path).unwrap();
        let full = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        full.bind(&address).unwrap();
        full.listen(0).unwrap();
        let mut waiting = Vec::new();
        // So many as it takes until one would have to wait.
        loop {
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            if socket.connect(&address).is_err() {
                break;
            }
            waiting.push(socket);
        }
        assert_eq!(listen(&name(&path), false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn another_file_at_the_path_stays() {
        let directory = std::env::temp_dir().join(format!("malha-other-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("a.sock");
        let (_listener, _, file) = listen(&name(&path), false).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn where_there_is_no_place_another_is_found() {
        let missing = SocketName::of("unix:///no/such/directory/a.sock").unwrap();
        let (listener, shown, file) = listen(&missing, false).unwrap();
        let path = PathBuf::from(shown.to_string().strip_prefix(SCHEME).unwrap());
        assert!(path.ends_with("a.sock") && path.exists());
        drop((listener, file));
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }
}
