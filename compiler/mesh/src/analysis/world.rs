//! What requests there are: facts of HTTP and of Envoy, as the algebra takes them.

use crate::program::{PathNormalization, Role, Settings};
use malha_algebra::language::{PathForm, Test};
use malha_algebra::re2::Pattern;
use malha_algebra::{Field, World, WrittenHeader};
use malha_table::http::{INLINE_HEADERS, INTERNAL_HEADERS, METHODS};
use smol_str::SmolStr;
use std::sync::Arc;

/// Headers of the connection, which no route sees, and `host`, which is the authority (semantics C.11).
const HOP_BY_HOP: [&str; 4] = ["host", "keep-alive", "proxy-connection", "transfer-encoding"];

/// Taken from clients, and written by the proxy of those that show a certificate, or as the mesh says (semantics A64): it
/// may be there.
const CLIENT_CERTIFICATE: &str = "x-forwarded-client-cert";

/// Behind a gateway that trusts nobody it says what the scheme is.
pub(super) const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Methods in the order in which a reader would like to see them; the others follow.
const PLAINEST: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// The requests that gateways and that sidecars see.
#[derive(Clone, Debug, Default)]
pub struct Worlds {
    /// Those of gateways.
    pub gateway: Arc<World>,
    /// Those of sidecars.
    pub sidecar: Arc<World>,
}

impl Worlds {
    /// As the settings of a mesh make them.
    pub fn new(settings: Settings) -> Worlds {
        Worlds { gateway: Arc::new(world(Role::Gateway, settings)), sidecar: Arc::new(world(Role::Sidecar, settings)) }
    }

    /// The same, but no request sends a header on several lines, or bytes in one that are not UTF-8.
    #[must_use]
    pub fn of_plain_headers(&self) -> Worlds {
        let plain = |world: &Arc<World>| Arc::new(World { plain_headers: true, ..World::clone(world) });
        Worlds { gateway: plain(&self.gateway), sidecar: plain(&self.sidecar) }
    }
}

/// The requests that proxies of a role see (semantics A66, B13, C.11).
fn world(role: Role, settings: Settings) -> World {
    let known = METHODS.iter().copied().filter(|method| !PLAINEST.contains(method) && *method != "CONNECT");
    let written = |name: &'static str, value: Test, is_free: bool| WrittenHeader {
        name: SmolStr::new_static(name),
        value,
        is_free,
    };
    let (mut written_headers, mut echoes) = (Vec::new(), Vec::new());
    let scheme = || Test::one_of(["http", "https"].map(SmolStr::new_static));
    match role {
        Role::Gateway => {
            if settings.http(role).trusts_forwarded_proto() {
                // Of HTTP/2 a client says both.
                written_headers.push(written(FORWARDED_PROTO, scheme(), true));
            } else {
                echoes.push((SmolStr::new_static(FORWARDED_PROTO), Field::Scheme));
            }
            let address = "[0-9a-fA-F.:]+";
            written_headers.extend([
                written("x-request-id", matching("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), false),
                written("x-forwarded-for", matching(&format!("(.*,)?{address}")), false),
                written("x-envoy-external-address", matching(address), false),
            ]);
        }
        Role::Sidecar => {
            written_headers.push(written(FORWARDED_PROTO, scheme(), true));
            written_headers.push(written("x-request-id", Test::Any, true));
        }
    }
    let is_written = |name: &SmolStr| written_headers.iter().any(|header| header.name == *name);
    let hidden = HOP_BY_HOP.iter().chain(&INTERNAL_HEADERS).map(|name| SmolStr::new_static(name));
    World {
        path: match settings.path_normalization {
            PathNormalization::None => PathForm::Raw,
            PathNormalization::Base => PathForm::Base,
            PathNormalization::MergeSlashes => PathForm::MergeSlashes,
            PathNormalization::DecodeAndMergeSlashes => PathForm::DecodeAndMergeSlashes,
        },
        methods: PLAINEST.into_iter().chain(known).map(SmolStr::new_static).collect(),
        joined_headers: &INLINE_HEADERS,
        hidden_headers: hidden.filter(|name| !is_written(name) && name != CLIENT_CERTIFICATE).collect(),
        written_headers,
        echoes,
        ..World::default()
    }
}

/// The language of a pattern of ours.
fn matching(pattern: &str) -> Test {
    // Ours are all well formed; one that was not would let everything pass, which proves nothing wrong: it says what a
    // header holds, never what it does not.
    Pattern::parse(pattern).map_or(Test::Any, Test::Regex)
}
