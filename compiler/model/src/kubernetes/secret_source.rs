//! What other programs make Secrets of: `Certificate`, `SealedSecret`, `ExternalSecret`.

use crate::{Kind, Resource, Spanned, Spec, read::message};
use smol_str::SmolStr;

message! {
    /// What says which Secret to make (its `spec`), as far as the name goes.
    pub struct SecretSource {
        /// The Secret of a Certificate.
        secret_name: Option<Spanned<SmolStr>> = "secretName",
        /// The Secret of a SealedSecret.
        template: Option<Spanned<SecretTemplate>> = "template",
        /// The Secret of an ExternalSecret.
        target: Option<Spanned<SecretTarget>> = "target",
    }
}

message! {
    /// What a Secret is to look like.
    pub struct SecretTemplate {
        /// What it says of itself.
        metadata: Option<Spanned<SecretMetadata>> = "metadata",
    }
}

message! {
    /// What a Secret says of itself.
    pub struct SecretMetadata {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
    }
}

message! {
    /// Where the values go.
    pub struct SecretTarget {
        /// The Secret.
        name: Option<Spanned<SmolStr>> = "name",
    }
}

impl SecretSource {
    /// The name of the Secret that is made of an object of this kind, in the object's own namespace; none if it says none.
    pub fn secret<'r>(&'r self, resource: &'r Resource) -> Option<&'r SmolStr> {
        let (written, own) = match resource.kind {
            Kind::Certificate => (self.secret_name.as_ref(), None),
            Kind::SealedSecret => {
                let metadata = self.template.as_ref().and_then(|template| template.metadata.as_ref());
                (metadata.and_then(|metadata| metadata.name.as_ref()), Some(&resource.name))
            }
            Kind::ExternalSecret => {
                (self.target.as_ref().and_then(|target| target.name.as_ref()), Some(&resource.name))
            }
            _ => (None, None),
        };
        written.map(|name| &name.value).or(own).filter(|name| !name.is_empty())
    }
}

impl Resource {
    /// The name of the Secret that another program makes of this object, in its namespace.
    pub fn made_secret(&self) -> Option<&SmolStr> {
        let Spec::SecretSource(source) = &self.spec else { return None };
        source.secret(self)
    }
}
