//! A local authority that signs the certificates which a mesh on this machine lacks.

use crate::{atomic::write_atomically, failure::Failure};
use malha_proxy::Credential;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An authority of this user's own. Its certificate and key are files, so that whoever trusts it once goes on to.
pub struct LocalAuthority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca-key.pem";
const CLIENT: &str = "client.pem";
const CLIENT_KEY: &str = "client-key.pem";

impl LocalAuthority {
    /// The user's authority; made if there is none yet.
    ///
    /// # Errors
    /// Its files cannot be read or written, or are not what they were.
    pub fn open(directory: &Path) -> Result<LocalAuthority, Failure> {
        let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
        if !certificate.exists() || !key.exists() {
            make(directory)?;
        }
        let read = |path: &Path| fs::read_to_string(path).map_err(|error| Failure::path(path, &error));
        let (text, key_text) = (read(&certificate)?, read(&key)?);
        let broken = |error: rcgen::Error| {
            let (certificate, key) = (certificate.display(), key.display());
            Failure::new(format!("the local authority cannot be used: {error}; remove {certificate} and {key}"))
        };
        let key = KeyPair::from_pem(&key_text).map_err(broken)?;
        let issuer = Issuer::from_ca_cert_pem(&text, key).map_err(broken)?;
        Ok(LocalAuthority { directory: directory.to_owned(), issuer, certificate: text })
    }

    /// The directory of the user's authority: `malha` in the XDG data directory.
    pub fn directory() -> Option<PathBuf> {
        let of = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = of("XDG_DATA_HOME").or_else(|| of("HOME").map(|home| home.join(".local/share")))?;
        Some(data.join("malha"))
    }

    /// Its certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The file of its certificate.
    pub fn certificate_file(&self) -> PathBuf {
        self.directory.join(CERTIFICATE)
    }

    /// A certificate for these hosts, of a server.
    ///
    /// # Errors
    /// A host is no name that a certificate can hold.
    pub fn issue(&self, hosts: &[String]) -> Result<Credential, Failure> {
        let (certificate, key) = self.sign(hosts, ExtendedKeyUsagePurpose::ServerAuth)?;
        let part = |text: String| Some(Arc::from(text.into_bytes()));
        Ok(Credential { certificate: part(certificate), private_key: part(key), ..Credential::default() })
    }

    /// A certificate for a proxy of the mesh, as istiod's authority would give it: for servers and clients, by a name like
    /// `spiffe://cluster.local/ns/shop/sa/default`.
    ///
    /// # Errors
    /// The name is none that a certificate can hold.
    pub fn identify(&self, name: &str) -> Result<Credential, Failure> {
        let failed = |error: rcgen::Error| Failure::new(format!("no certificate can be made for {name}: {error}"));
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(name.try_into().map_err(failed)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let part = |text: String| Some(Arc::from(text.into_bytes()));
        Ok(Credential {
            certificate: part(certificate.pem()),
            private_key: part(key.serialize_pem()),
            authorities: part(self.certificate.clone()),
            withdrawn: None,
        })
    }

    /// The files of a certificate and a key for clients; made if there are none yet.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn client(&self) -> Result<(PathBuf, PathBuf), Failure> {
        let (certificate, key) = (self.directory.join(CLIENT), self.directory.join(CLIENT_KEY));
        if !certificate.exists() || !key.exists() {
            let names = ["client.local".to_owned()];
            let (text, key_text) = self.sign(&names, ExtendedKeyUsagePurpose::ClientAuth)?;
            write_secret(&key, &key_text)?;
            write_atomically(&certificate, text.as_bytes())?;
        }
        Ok((certificate, key))
    }

    fn sign(&self, names: &[String], usage: ExtendedKeyUsagePurpose) -> Result<(String, String), Failure> {
        let failed =
            |error: rcgen::Error| Failure::new(format!("no certificate can be made for {}: {error}", names.join(", ")));
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = name(names.first().map_or("malha", String::as_str));
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn make(directory: &Path) -> Result<(), Failure> {
    let failed = |error: rcgen::Error| Failure::new(format!("no local authority can be made: {error}"));
    let mut params = CertificateParams::default();
    params.distinguished_name = name("Malha, local authority of this machine");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    fs::create_dir_all(directory).map_err(|error| Failure::path(directory, &error))?;
    for stale in [CLIENT, CLIENT_KEY] {
        // Of an authority that is gone.
        let _ = fs::remove_file(directory.join(stale));
    }
    write_secret(&directory.join(KEY), &key.serialize_pem())?;
    write_atomically(&directory.join(CERTIFICATE), certificate.pem().as_bytes())
}

/// A file that only its owner reads.
fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::path(path, &error);
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&partial).and_then(|mut file: File| file.write_all(text.as_bytes()));
    written.and_then(|()| fs::rename(&partial, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_stays_and_its_key_is_its_owners() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("malha");
        let first = LocalAuthority::open(&home).unwrap();
        let second = LocalAuthority::open(&home).unwrap();
        assert_eq!(first.certificate(), second.certificate());
        assert!(second.issue(&["*.shop.com".to_owned(), "localhost".to_owned()]).is_ok());
        assert!(second.identify("spiffe://cluster.local/ns/shop/sa/default").is_ok());
        assert!(second.identify("spiffe://clüster.local/ns/shop/sa/default").is_err(), "no certificate holds that");
        let (certificate, key) = second.client().unwrap();
        assert!(certificate.exists() && second.client().unwrap() == (certificate, key.clone()));
        #[cfg(unix)]
        for secret in [home.join(KEY), key] {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(secret).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::write(home.join(KEY), "nonsense").unwrap();
        let failure = LocalAuthority::open(&home).err().expect("it is broken").to_string();
        assert!(failure.contains("remove") && failure.contains(KEY), "{failure}");
    }
}
