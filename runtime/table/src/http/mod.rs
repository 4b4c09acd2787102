//! Facts about HTTP that the evaluator, the interpreter and the proxy share, as pure functions.

mod admit;
mod authority;
mod duration;
mod hygiene;
mod path;
mod redirect;
mod rewrite;
mod target;
mod topology;
mod variables;
mod weights;

pub use admit::{BadRequest, Head, HttpSettings, MAX_HEADER_BYTES, MAX_HEADER_COUNT, admit};
pub use authority::{authority_is_valid, host_key, port_start, suffixes};
pub use duration::duration_text;
pub use hygiene::{
    INLINE_HEADERS, INTERNAL_HEADERS, PLACEHOLDER_REQUEST_ID, TE_TRAILERS, asks_for_trailers, asks_for_upgrade,
    connection_tokens, is_inline, is_internal, is_nominable, join_lines, upgrade_is_allowed,
};
pub use path::{InvalidPath, PathNormalization, normalize_path};
pub use redirect::{RedirectTo, https_location, redirect_location};
pub use rewrite::{Matched, replace_matched, rewrite_matches};
pub use target::{METHODS, Target, method_is_known, read_target};
pub use topology::{ForwardClientCert, GatewayTopology, forwarded_scheme, trusted_client};
pub use variables::{HeaderSource, Piece, Template, TemplateError, Variable, Variables};
pub use weights::pick;

/// The engine that [`rewrite_matches`] takes patterns in.
pub use regex::bytes::Regex;
