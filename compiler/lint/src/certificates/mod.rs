//! The certificates that gateways show, as Secrets of the input hold them.

mod key;
mod secret;
mod uses;

pub(crate) use secret::{Certificate, Flaw, HeldSecret};
pub(crate) use uses::{CredentialUse, Secrets, uses};
