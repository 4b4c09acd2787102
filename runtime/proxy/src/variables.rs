//! What `%VARIABLES%` in header operations can speak of (semantics C36, C37).

use crate::{connection::Client, flags::Flags, logged, text_line::version};
use http::{HeaderMap, Version};
use malha_table::http::Variables;
use std::{borrow::Cow, net::SocketAddr, time::SystemTime};

/// The facts of one request. In response operations the request is as it went upstream.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) method: &'a str,
    pub(crate) scheme: &'a str,
    pub(crate) authority: &'a str,
    /// With its query.
    pub(crate) path: &'a str,
    pub(crate) version: Version,
    pub(crate) request: &'a HeaderMap,
    pub(crate) response: Option<&'a HeaderMap>,
    /// The upstream's status; 0 in answers of the proxy's own, which Envoy has not counted yet when it evaluates them.
    pub(crate) code: u16,
    pub(crate) flags: Flags,
    pub(crate) start: SystemTime,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Of the connection, whoever it is passed on for.
    pub(crate) direct: &'a Client,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) cluster: Option<&'a str>,
    pub(crate) route_name: Option<&'a str>,
}

impl Variables for Facts<'_> {
    fn request_header(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(match name {
            ":method" => Cow::Borrowed(self.method),
            ":scheme" => Cow::Borrowed(self.scheme),
            ":authority" | "host" => Cow::Borrowed(self.authority),
            ":path" => Cow::Borrowed(self.path),
            _ => return first_line(self.request, name),
        })
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, str>> {
        first_line(self.response?, name)
    }

    fn command(&self, name: &str, argument: Option<&str>) -> Option<Cow<'_, str>> {
        let text = match name {
            "PROTOCOL" => return Some(Cow::Borrowed(version(self.version))),
            "RESPONSE_CODE" => self.response.map(|_| self.code.to_string())?,
            "RESPONSE_FLAGS" => self.flags.to_string(),
            "START_TIME" => logged::moment(self.start, argument),
            "STREAM_ID" => return first_line(self.request, "x-request-id"),
            "DOWNSTREAM_REMOTE_ADDRESS" => self.remote.to_string(),
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => self.remote.ip().to_string(),
            "DOWNSTREAM_REMOTE_PORT" => self.remote.port().to_string(),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => self.direct.direct.to_string(),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => self.direct.direct.ip().to_string(),
            "DOWNSTREAM_DIRECT_REMOTE_PORT" => self.direct.direct.port().to_string(),
            "DOWNSTREAM_LOCAL_ADDRESS" => self.local.to_string(),
            "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => self.local.ip().to_string(),
            "DOWNSTREAM_LOCAL_PORT" => self.local.port().to_string(),
            "DOWNSTREAM_DIRECT_LOCAL_ADDRESS" => self.direct.local.to_string(),
            "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT" => self.direct.local.ip().to_string(),
            "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => self.upstream?.to_string(),
            "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => self.upstream?.ip().to_string(),
            "UPSTREAM_REMOTE_PORT" => self.upstream?.port().to_string(),
            "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => return self.cluster.map(Cow::Borrowed),
            "ROUTE_NAME" => return self.route_name.map(Cow::Borrowed),
            _ => return None,
        };
        Some(Cow::Owned(text))
    }
}

/// Bytes that are no UTF-8 are replaced.
fn first_line<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use malha_table::http::Template;
    use std::{net::Ipv4Addr, time::UNIX_EPOCH};

    /// Recorded as C36-C37-header-variables.
    #[test]
    fn recorded_values() {
        let request = HeaderMap::from_iter([(HeaderName::from_static("x"), HeaderValue::from_static("orig"))]);
        let response = HeaderMap::from_iter([(HeaderName::from_static("x-up"), HeaderValue::from_static("echo"))]);
        let end = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let client = Client::new(end(5000), end(8080), None);
        let facts = Facts {
            method: "GET",
            scheme: "http",
            authority: "x.com",
            path: "/1/z?q",
            version: Version::HTTP_11,
            request: &request,
            response: Some(&response),
            code: 200,
            flags: Flags::default(),
            start: UNIX_EPOCH,
            local: end(8080),
            remote: end(5000),
            direct: &client,
            upstream: None,
            cluster: None,
            route_name: None,
        };
        for (value, expected) in [
            ("plain", "plain"),
            ("100%%", "100%"),
            ("%REQ(:path)%", "/1/z?q"),
            ("%REQ(:authority)%", "x.com"),
            ("%REQ(nope)%", ""),
            ("%REQ(nope?x)%", "orig"),
            ("%REQ(x)%-%PROTOCOL%", "orig-HTTP/1.1"),
            ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
            ("%RESPONSE_CODE%", "200"),
            ("%RESP(x-up)%", "echo"),
            ("%START_TIME%", "1970-01-01T00:00:00.000Z"),
            ("%START_TIME(%Y-%m-%d %s)%", "1970-01-01 0"),
            ("%TRAILER(x)%", ""),
            ("%UPSTREAM_HOST%", ""),
            ("%ENVIRONMENT(HOME)%", ""),
        ] {
            assert_eq!(Template::parse(value).unwrap().evaluate(&facts), expected, "{value}");
        }
    }
}
