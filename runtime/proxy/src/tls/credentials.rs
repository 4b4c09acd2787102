//! Certificates and keys, as whoever runs the proxy hands them over.

use malha_table::{Role, Table};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What one Secret holds, each part as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// `tls.crt`: the certificate, and those between it and its authority.
    pub certificate: Option<Arc<[u8]>>,
    /// `tls.key`.
    pub private_key: Option<Arc<[u8]>>,
    /// `ca.crt`: who signs the certificates of the other side.
    pub authorities: Option<Arc<[u8]>>,
    /// `ca.crl`: certificates that were withdrawn.
    pub withdrawn: Option<Arc<[u8]>>,
}

/// Keys are not for logs.
impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credential")
    }
}

/// The certificates and keys that a table's TLS needs: Secrets by namespace and name, and files by the paths that
/// Gateways and `DestinationRule`s write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    secrets: BTreeMap<(String, String), Credential>,
    files: BTreeMap<String, Result<Contents, String>>,
    /// Authorities of endpoints, whatever a policy says.
    trusted: Vec<Arc<[u8]>>,
    /// The proxy's own certificate by the mesh's authority, and that authority.
    identity: Option<Credential>,
    /// Those of single proxies, by namespace and name, for what they say to each other in this process.
    identities: BTreeMap<(String, String), Credential>,
}

/// A file's bytes; they may be a key's.
#[derive(Clone, PartialEq, Eq)]
struct Contents(Arc<[u8]>);

impl fmt::Debug for Contents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

/// Nobody's certificates are larger.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

impl Credentials {
    /// Adds a Secret, in place of one of the same name.
    pub fn insert(&mut self, namespace: &str, name: &str, credential: Credential) {
        self.secrets.insert((namespace.to_owned(), name.to_owned()), credential);
    }

    /// A Secret.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Credential> {
        self.secrets.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// The names of the Secrets of a namespace, in order.
    pub fn names<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a str> {
        self.secrets.keys().filter(move |(other, _)| other == namespace).map(|(_, name)| name.as_str())
    }

    /// The namespaces that have a Secret of this name.
    pub(crate) fn anywhere<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.secrets.keys().filter(move |(_, other)| other == name).map(|(namespace, _)| namespace.as_str())
    }

    /// Adds a file's content under the path that the table writes, in place of what was read.
    pub fn insert_file(&mut self, path: &str, content: Arc<[u8]>) {
        self.files.insert(path.to_owned(), Ok(Contents(content)));
    }

    /// Lets endpoints have certificates by these authorities, too, given as PEM.
    pub fn trust(&mut self, authorities: Arc<[u8]>) {
        self.trusted.push(authorities);
    }

    /// Gives the proxy a certificate by the mesh's own authority, for `ISTIO_MUTUAL`.
    pub fn identify(&mut self, identity: Credential) {
        self.identity = Some(identity);
    }

    /// The same for one of its proxies, by namespace and name: that one shows it to other proxies of this process alone,
    /// whose endpoints are none of a mesh. One for all of them is preferred.
    pub fn identify_proxy(&mut self, namespace: &str, name: &str, identity: Credential) {
        self.identities.insert((namespace.to_owned(), name.to_owned()), identity);
    }

    /// What a proxy shows to others of this process.
    pub(crate) fn identity_among(&self, namespace: &str, name: &str) -> Option<&Credential> {
        self.identity().or_else(|| self.identities.get(&(namespace.to_owned(), name.to_owned())))
    }

    pub(crate) fn identity(&self) -> Option<&Credential> {
        self.identity.as_ref()
    }

    pub(crate) fn trusted(&self) -> impl Iterator<Item = &[u8]> {
        self.trusted.iter().map(|authorities| &**authorities)
    }

    /// Reads the files that a table names; relative paths start from `root`. One that cannot be read is told where it
    /// is needed.
    pub fn read_files(&mut self, table: &Table, root: &Path) {
        for path in file_names(table) {
            let content = read(&root.join(&path)).map(Contents).map_err(|error| error.to_string());
            self.files.insert(path, content);
        }
    }

    /// The files that a table names.
    pub fn files(table: &Table, root: &Path) -> BTreeSet<PathBuf> {
        file_names(table).into_iter().map(|path| root.join(path)).collect()
    }

    /// Reads Secrets as Kubernetes mounts them: `NAMESPACE/NAME/` with `tls.crt`, `tls.key`, `ca.crt`, `ca.crl`.
    ///
    /// # Errors
    /// A directory or a file that is there cannot be read.
    pub fn read_directory(&mut self, directory: &Path) -> io::Result<()> {
        for namespace in directories(directory).map_err(|error| named(&error, directory))? {
            for secret in directories(&namespace).map_err(|error| named(&error, &namespace))? {
                let part = |name: &str| match read(&secret.join(name)) {
                    Ok(content) => Ok(Some(content)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(named(&error, &secret.join(name))),
                };
                let credential = Credential {
                    certificate: part("tls.crt")?,
                    private_key: part("tls.key")?,
                    authorities: part("ca.crt")?,
                    withdrawn: part("ca.crl")?,
                };
                let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.insert(&name(&namespace), &name(&secret), credential);
            }
        }
        Ok(())
    }

    /// Reads the proxy's own certificate by the mesh's authority as Istio's agent writes it: `cert-chain.pem`, `key.pem`,
    /// `root-cert.pem`.
    ///
    /// # Errors
    /// One of the files cannot be read.
    pub fn read_identity(&mut self, directory: &Path) -> io::Result<()> {
        let part = |name: &str| {
            let path = directory.join(name);
            read(&path).map(Some).map_err(|error| named(&error, &path))
        };
        self.identify(Credential {
            certificate: part("cert-chain.pem")?,
            private_key: part("key.pem")?,
            authorities: part("root-cert.pem")?,
            withdrawn: None,
        });
        Ok(())
    }

    /// A file's content, or why there is none.
    pub(crate) fn file(&self, path: &str) -> Result<Arc<[u8]>, String> {
        match self.files.get(path) {
            Some(Ok(content)) => Ok(Arc::clone(&content.0)),
            Some(Err(error)) => Err(format!("the file {path} cannot be read: {error}")),
            None => Err(format!("the file {path} was not read")),
        }
    }
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> io::Result<Arc<[u8]>> {
    if std::fs::metadata(path)?.len() > MOST_BYTES {
        return Err(io::Error::other(format!("it is larger than {MOST_BYTES} bytes")));
    }
    std::fs::read(path).map(Arc::from)
}

/// The directories in a directory, in order; those of Kubernetes' own bookkeeping (`..data`) left out.
fn directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !is_hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The paths that a table writes.
fn file_names(table: &Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let gateways = table.proxies().filter(|proxy| proxy.role() == Role::Gateway);
    for chain in gateways.flat_map(|proxy| proxy.listeners()).flat_map(|listener| listener.chains()) {
        let Some(ends) = chain.termination() else { continue };
        let pairs = ends.certificates().flat_map(|(certificate, key)| [certificate, key]);
        names.extend(pairs.chain(ends.ca_certificates()).chain(ends.ca_crl()).map(str::to_owned));
    }
    for policy in table.clusters().filter_map(|cluster| cluster.policy_json()) {
        // Most say nothing of TLS.
        if policy.contains("\"tls\"")
            && let Ok(policy) = serde_json::from_str(policy)
        {
            names.extend(super::upstream::files(&policy));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_as_they_are_mounted() {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("istio-system/shop");
        std::fs::create_dir_all(&secret).unwrap();
        std::fs::create_dir_all(directory.path().join("..data/x")).unwrap();
        std::fs::write(secret.join("tls.crt"), "certificate").unwrap();
        let mut credentials = Credentials::default();
        credentials.read_directory(directory.path()).unwrap();
        let read = credentials.get("istio-system", "shop").expect("it is there");
        assert_eq!(read.certificate.as_deref(), Some(b"certificate".as_slice()));
        assert!(read.private_key.is_none());
        assert_eq!(credentials.names("istio-system").collect::<Vec<_>>(), ["shop"]);
        assert!(credentials.read_directory(&secret.join("none")).unwrap_err().to_string().contains("none"));
    }
}
