//! `%VARIABLES%` in header values (semantics C36, C37) and in lines of the access log (C85): parsed once, evaluated per
//! request.

use std::{borrow::Cow, fmt};

/// A header value, or a line of the access log, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is written, each `%%` a percent sign.
    Text(String),
    /// What a request decides.
    Variable(Variable),
}

impl Piece {
    /// Its text; that of a variable is empty.
    pub fn text(&self) -> &str {
        match self {
            Piece::Text(text) => text,
            Piece::Variable(_) => "",
        }
    }
}

/// Whose headers a variable reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSource {
    /// `%REQ(...)%`.
    Request,
    /// `%RESP(...)%`.
    Response,
    /// `%TRAILER(...)%`: the trailers of the response.
    Trailers,
}

/// What a value may refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Envoy's")]
pub enum Variable {
    /// `%REQ(name?other):length%`: the first that is there, and so many characters of it.
    Header { source: HeaderSource, name: String, other: Option<String>, length: Option<usize> },
    /// Another one: the name as Envoy writes it, the argument, and how many characters of its value count.
    Command { name: &'static str, argument: Option<String>, length: Option<usize> },
}

/// Why Envoy would not load a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `%` without its pair.
    Unbalanced,
    /// A variable that Envoy does not have.
    Unknown(String),
    /// An argument that the variable does not take, or its lack.
    Argument(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Unbalanced => f.write_str("a `%` has no pair; a single one is written `%%`"),
            TemplateError::Unknown(name) => write!(f, "`%{name}%` is not a variable that Envoy knows"),
            TemplateError::Argument(text) => write!(f, "`%{text}%` has an argument that the variable does not take"),
        }
    }
}

impl std::error::Error for TemplateError {}

/// The commands of Envoy's formatter other than those of headers, and whether one needs an argument.
const COMMANDS: &[(&str, Argument)] = &[
    ("ACCESS_LOG_TYPE", Argument::None),
    ("BYTES_RECEIVED", Argument::None),
    ("BYTES_SENT", Argument::None),
    ("CEL", Argument::Needed),
    ("COMMON_DURATION", Argument::Needed),
    ("CONNECTION_ID", Argument::None),
    ("CONNECTION_TERMINATION_DETAILS", Argument::None),
    ("COALESCE", Argument::Needed),
    ("CUSTOM_FLAGS", Argument::None),
    ("DOWNSTREAM_DETECTED_CLOSE_TYPE", Argument::None),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS", Argument::None),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", Argument::None),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Argument::None),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Argument::None),
    ("DOWNSTREAM_DIRECT_REMOTE_PORT", Argument::None),
    ("DOWNSTREAM_HANDSHAKE_DURATION", Argument::None),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", Argument::None),
    ("DOWNSTREAM_HEADER_BYTES_SENT", Argument::None),
    ("DOWNSTREAM_LOCAL_ADDRESS", Argument::None),
    ("DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", Argument::None),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Argument::None),
    ("DOWNSTREAM_LOCAL_CLOSE_REASON", Argument::None),
    ("DOWNSTREAM_LOCAL_DNS_SAN", Argument::None),
    ("DOWNSTREAM_LOCAL_EMAIL_SAN", Argument::None),
    ("DOWNSTREAM_LOCAL_IP_SAN", Argument::None),
    ("DOWNSTREAM_LOCAL_OTHERNAME_SAN", Argument::None),
    ("DOWNSTREAM_LOCAL_PORT", Argument::None),
    ("DOWNSTREAM_LOCAL_SUBJECT", Argument::None),
    ("DOWNSTREAM_LOCAL_URI_SAN", Argument::None),
    ("DOWNSTREAM_PEER_CERT", Argument::None),
    ("DOWNSTREAM_PEER_CERT_V_END", Argument::Allowed),
    ("DOWNSTREAM_PEER_CERT_V_START", Argument::Allowed),
    ("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", Argument::None),
    ("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", Argument::None),
    ("DOWNSTREAM_PEER_CHAIN_SERIALS", Argument::None),
    ("DOWNSTREAM_PEER_DNS_SAN", Argument::None),
    ("DOWNSTREAM_PEER_EMAIL_SAN", Argument::None),
    ("DOWNSTREAM_PEER_FINGERPRINT_1", Argument::None),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", Argument::None),
    ("DOWNSTREAM_PEER_IP_SAN", Argument::None),
    ("DOWNSTREAM_PEER_ISSUER", Argument::None),
    ("DOWNSTREAM_PEER_OTHERNAME_SAN", Argument::None),
    ("DOWNSTREAM_PEER_SERIAL", Argument::None),
    ("DOWNSTREAM_PEER_SUBJECT", Argument::None),
    ("DOWNSTREAM_PEER_URI_SAN", Argument::None),
    ("DOWNSTREAM_REMOTE_ADDRESS", Argument::None),
    ("DOWNSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", Argument::None),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Argument::None),
    ("DOWNSTREAM_REMOTE_PORT", Argument::None),
    ("DOWNSTREAM_TLS_CIPHER", Argument::None),
    ("DOWNSTREAM_TLS_SESSION_ID", Argument::None),
    ("DOWNSTREAM_TLS_VERSION", Argument::None),
    ("DOWNSTREAM_TRANSPORT_FAILURE_REASON", Argument::None),
    ("DOWNSTREAM_WIRE_BYTES_RECEIVED", Argument::None),
    ("DOWNSTREAM_WIRE_BYTES_SENT", Argument::None),
    ("DURATION", Argument::None),
    ("DYNAMIC_METADATA", Argument::Needed),
    ("EMIT_TIME", Argument::Allowed),
    ("ENVIRONMENT", Argument::Needed),
    ("FILE_CONTENT", Argument::Needed),
    ("FILTER_CHAIN_NAME", Argument::None),
    ("FILTER_STATE", Argument::Needed),
    ("GRPC_STATUS", Argument::Allowed),
    ("GRPC_STATUS_NUMBER", Argument::None),
    ("HOSTNAME", Argument::None),
    ("LOCAL_REPLY_BODY", Argument::None),
    ("METADATA", Argument::Needed),
    ("PATH", Argument::Allowed),
    ("PROTOCOL", Argument::None),
    ("QUERY_PARAM", Argument::Needed),
    ("QUERY_PARAMS", Argument::Allowed),
    ("REQUESTED_SERVER_NAME", Argument::Allowed),
    ("REQUEST_DURATION", Argument::None),
    ("REQUEST_HEADERS_BYTES", Argument::None),
    ("REQUEST_TX_DURATION", Argument::None),
    ("RESPONSE_CODE", Argument::None),
    ("RESPONSE_CODE_DETAILS", Argument::Allowed),
    ("RESPONSE_DURATION", Argument::None),
    ("RESPONSE_FLAGS", Argument::None),
    ("RESPONSE_FLAGS_LONG", Argument::None),
    ("RESPONSE_HEADERS_BYTES", Argument::None),
    ("RESPONSE_TRAILERS_BYTES", Argument::None),
    ("RESPONSE_TX_DURATION", Argument::None),
    ("ROUNDTRIP_DURATION", Argument::None),
    ("ROUTE_NAME", Argument::None),
    ("SPAN_ID", Argument::None),
    ("START_TIME", Argument::Allowed),
    ("START_TIME_LOCAL", Argument::Allowed),
    ("STREAM_ID", Argument::None),
    ("TLS_JA3_FINGERPRINT", Argument::None),
    ("TLS_JA4_FINGERPRINT", Argument::None),
    ("TRACE_ID", Argument::None),
    ("UNIQUE_ID", Argument::None),
    ("UPSTREAM_CLUSTER", Argument::None),
    ("UPSTREAM_CLUSTER_RAW", Argument::None),
    ("UPSTREAM_CONNECTION_ID", Argument::None),
    ("UPSTREAM_CONNECTION_POOL_READY_DURATION", Argument::None),
    ("UPSTREAM_DETECTED_CLOSE_TYPE", Argument::None),
    ("UPSTREAM_FILTER_STATE", Argument::Needed),
    ("UPSTREAM_HEADER_BYTES_RECEIVED", Argument::None),
    ("UPSTREAM_HEADER_BYTES_SENT", Argument::None),
    ("UPSTREAM_HOST", Argument::None),
    ("UPSTREAM_HOSTS_ATTEMPTED", Argument::None),
    ("UPSTREAM_HOST_NAME", Argument::None),
    ("UPSTREAM_HOST_NAME_WITHOUT_PORT", Argument::None),
    ("UPSTREAM_LOCAL_ADDRESS", Argument::None),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Argument::None),
    ("UPSTREAM_LOCAL_CLOSE_REASON", Argument::None),
    ("UPSTREAM_LOCAL_PORT", Argument::None),
    ("UPSTREAM_METADATA", Argument::Needed),
    ("UPSTREAM_PEER_SUBJECT", Argument::None),
    ("UPSTREAM_PROTOCOL", Argument::None),
    ("UPSTREAM_REMOTE_ADDRESS", Argument::None),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Argument::None),
    ("UPSTREAM_REMOTE_PORT", Argument::None),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Argument::None),
    ("UPSTREAM_TLS_CIPHER", Argument::None),
    ("UPSTREAM_TLS_SESSION_ID", Argument::None),
    ("UPSTREAM_TLS_VERSION", Argument::None),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", Argument::None),
    ("UPSTREAM_WIRE_BYTES_RECEIVED", Argument::None),
    ("UPSTREAM_WIRE_BYTES_SENT", Argument::None),
    ("VIRTUAL_CLUSTER_NAME", Argument::None),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument {
    None,
    Allowed,
    Needed,
}

/// What a proxy knows about the request at hand, for evaluation.
pub trait Variables {
    /// The first line of a request header, or `:method`, `:path`, `:authority`, `:scheme`.
    fn request_header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The first line of a response header; none before there is a response.
    fn response_header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The first line of a trailer of the response; none where there are none to be known.
    fn response_trailer(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    /// The value of another variable; none where it has none, or is not supported.
    fn command(&self, name: &str, argument: Option<&str>) -> Option<Cow<'_, str>>;
}

impl Template {
    /// Parses a value; `%%` is a percent sign.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                literal.push('%');
                rest = after;
                continue;
            }
            let end = variable_end(after).ok_or(TemplateError::Unbalanced)?;
            let variable = parse_variable(&after[..end])?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Variable(variable));
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Template { pieces })
    }

    /// Its parts, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The value for one request; variables without a value are empty. A header whose value comes out empty is not
    /// written at all (semantics C37).
    pub fn evaluate(&self, variables: &impl Variables) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(variable) => {
                    if let Some(value) = variable.value(variables) {
                        out.push_str(&value);
                    }
                }
            }
        }
        out
    }
}

impl Variable {
    /// Its value for one request, if it has one.
    pub fn value<'a>(&self, variables: &'a impl Variables) -> Option<Cow<'a, str>> {
        let (value, length) = match self {
            Variable::Header { source, name, other, length } => {
                let line = |name: &str| match source {
                    HeaderSource::Request => variables.request_header(name),
                    HeaderSource::Response => variables.response_header(name),
                    HeaderSource::Trailers => variables.response_trailer(name),
                };
                (line(name).or_else(|| line(other.as_deref()?)), *length)
            }
            Variable::Command { name, argument, length } => (variables.command(name, argument.as_deref()), *length),
        };
        let value = value?;
        match length.and_then(|length| value.char_indices().nth(length)) {
            Some((cut, _)) => Some(Cow::Owned(value[..cut].to_owned())),
            None => Some(value),
        }
    }
}

/// Where the `%` that ends a variable stands: the first outside parentheses.
fn variable_end(text: &str) -> Option<usize> {
    let mut inside = false;
    text.bytes().position(|byte| {
        match byte {
            b'(' => inside = true,
            b')' => inside = false,
            _ => {}
        }
        byte == b'%' && !inside
    })
}

fn parse_variable(text: &str) -> Result<Variable, TemplateError> {
    let wrong = || TemplateError::Argument(text.to_owned());
    let (name, argument, length) = match text.split_once('(') {
        None => (text, None, None),
        Some((name, rest)) => {
            let (argument, after) = rest.rsplit_once(')').ok_or_else(wrong)?;
            let length = match after.strip_prefix(':') {
                Some(digits) => Some(digits.parse().map_err(|_| wrong())?),
                None if after.is_empty() => None,
                None => return Err(wrong()),
            };
            (name, Some(argument), length)
        }
    };
    let source = match name {
        "REQ" => Some(HeaderSource::Request),
        "RESP" => Some(HeaderSource::Response),
        "TRAILER" => Some(HeaderSource::Trailers),
        _ => None,
    };
    if let Some(source) = source {
        let argument = argument.filter(|argument| !argument.is_empty()).ok_or_else(wrong)?.to_ascii_lowercase();
        let (name_of, other) = match argument.split_once('?') {
            Some((name, other)) => (name.to_owned(), Some(other.to_owned()).filter(|other| !other.is_empty())),
            None => (argument, None),
        };
        return Ok(Variable::Header { source, name: name_of, other, length });
    }
    let (known, takes) =
        COMMANDS.iter().find(|(known, _)| *known == name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
    let fits = match takes {
        Argument::None => argument.is_none(),
        Argument::Allowed => true,
        Argument::Needed => argument.is_some_and(|argument| !argument.is_empty()),
    };
    let argument = argument.map(str::to_owned);
    if fits { Ok(Variable::Command { name: known, argument, length }) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Variables for Known {
        fn request_header(&self, name: &str) -> Option<Cow<'_, str>> {
            match name {
                ":path" => Some("/1/z?q".into()),
                "x" => Some("orig".into()),
                _ => None,
            }
        }

        fn response_header(&self, _: &str) -> Option<Cow<'_, str>> {
            None
        }

        fn command(&self, name: &str, _: Option<&str>) -> Option<Cow<'_, str>> {
            (name == "PROTOCOL").then_some("HTTP/1.1".into())
        }
    }

    #[test]
    fn recorded_values() {
        for (text, value) in [
            ("%REQ(:path)%", "/1/z?q"),
            ("%REQ(nope)%", ""),
            ("100%%", "100%"),
            ("%REQ(X)%-%PROTOCOL%", "orig-HTTP/1.1"),
            ("%REQ(nope?x)%", "orig"),
            ("%REQ(x):2%!", "or!"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(Template::parse(text).map(|template| template.evaluate(&Known)), Ok(value.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_envoy_does_not_load() {
        assert_eq!(Template::parse("x%"), Err(TemplateError::Unbalanced));
        assert_eq!(Template::parse("%NO_SUCH%"), Err(TemplateError::Unknown("NO_SUCH".to_owned())));
        assert!(matches!(Template::parse("%REQ()%"), Err(TemplateError::Argument(_))));
        assert!(matches!(Template::parse("%PROTOCOL(x)%"), Err(TemplateError::Argument(_))));
        assert!(matches!(Template::parse("%REQ(x)junk%"), Err(TemplateError::Argument(_))));
    }
}
