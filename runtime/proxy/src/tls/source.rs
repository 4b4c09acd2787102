//! Directories that certificates and keys are read from, beside what a table's own files hold.

use super::Credentials;
use malha_table::Table;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Where whoever runs the proxy keeps certificates and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialSource {
    /// Secrets as Kubernetes mounts them; see [`Credentials::read_directory`].
    pub secrets: Option<PathBuf>,
    /// The proxy's own certificate by the mesh's authority; see [`Credentials::read_identity`].
    pub identity: Option<PathBuf>,
}

impl CredentialSource {
    /// Adds what the directories hold, in place of what is of the same name.
    ///
    /// # Errors
    /// A directory, or a file in it, cannot be read.
    pub fn read_into(&self, credentials: &mut Credentials) -> io::Result<()> {
        if let Some(directory) = &self.secrets {
            credentials.read_directory(directory)?;
        }
        if let Some(directory) = &self.identity {
            credentials.read_identity(directory)?;
        }
        Ok(())
    }

    /// All that a table needs: the files that it names, relative paths from `root` on, and what the directories hold.
    ///
    /// # Errors
    /// As [`CredentialSource::read_into`]. A file that a table names and that cannot be read is told where it is needed.
    pub fn read(&self, table: &Table, root: &Path) -> io::Result<Credentials> {
        let mut credentials = Credentials::default();
        credentials.read_files(table, root);
        self.read_into(&mut credentials)?;
        Ok(credentials)
    }

    /// The directories to watch, each with what is below it.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.secrets.iter().chain(&self.identity).map(PathBuf::as_path)
    }
}
