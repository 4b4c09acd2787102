//! A witness as a command that sends it to a running `malha run`.

use crate::words::quoted;
use malha_table::{Protocol, Request, http::host_key};

/// Ports below 1024 are served this much higher for whoever may not open them.
const UNPRIVILEGED: u32 = 8000;

/// Where clients in the mesh send their requests.
const OUTBOUND: &str = "http://127.0.0.1:15001";

/// The command; none for bytes that are no request.
pub(crate) fn command(witness: &serde_json::Value) -> Option<String> {
    let request: Request = serde_json::from_value(witness.clone()).ok()?;
    let mesh = request.via.as_deref() == Some("mesh");
    let port = request.port.unwrap_or(80);
    let local = if port < 1024 { port + UNPRIVILEGED } else { port };
    match request.protocol {
        Some(Protocol::Tcp) => return None,
        Some(Protocol::Tls) => {
            // Clients of the mesh do not reach such a port on this machine.
            let name = request.tls.as_ref().filter(|_| !mesh)?.sni.as_deref()?;
            return Some(format!("openssl s_client -connect localhost:{local} -servername {}", quoted(name)));
        }
        Some(Protocol::Http) | None => {}
    }
    let mut words = vec!["curl".to_owned()];
    if let Some(method) = &request.method {
        words.push(if method == "HEAD" { "--head".to_owned() } else { format!("-X {}", quoted(method)) });
    }
    let authority = request.authority.as_deref().unwrap_or_default();
    let path = request.path.as_deref().unwrap_or("/");
    let url = if mesh {
        words.push(format!("-x {OUTBOUND}"));
        let port =
            if port == 80 || host_key(authority).len() < authority.len() { String::new() } else { format!(":{port}") };
        format!("http://{authority}{port}{path}")
    } else if request.tls.is_some() {
        words.push(format!("-k --connect-to {}", quoted(&format!("::localhost:{local}"))));
        // What curl says in its hello is the URL's host.
        let sni = request.tls.as_ref().and_then(|tls| tls.sni.as_deref()).unwrap_or(authority);
        if host_key(authority) == sni {
            format!("https://{authority}{path}")
        } else {
            words.push(format!("-H {}", quoted(&format!("Host: {authority}"))));
            format!("https://{sni}{path}")
        }
    } else {
        words.push(format!("-H {}", quoted(&format!("Host: {authority}"))));
        format!("http://localhost:{local}{path}")
    };
    for (name, lines) in &request.headers {
        // `-H 'name:'` would leave it out.
        let header = |line: &str| if line.is_empty() { format!("{name};") } else { format!("{name}: {line}") };
        words.extend(lines.iter().map(|line| format!("-H {}", quoted(&header(line)))));
    }
    words.push(quoted(&url));
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::command;
    use serde_json::json;

    #[test]
    fn witnesses_are_commands() {
        let cases = [
            (
                json!({"via": "gateway/a/b", "port": 80, "authority": "x.org", "path": "/it's?a&b"}),
                r"curl -H 'Host: x.org' 'http://localhost:8080/it'\''s?a&b'",
            ),
            (
                json!({"via": "mesh", "port": 8000, "authority": "cart.default", "method": "PUT", "headers": {"a": ["1", ""]}}),
                "curl -X PUT -x http://127.0.0.1:15001 -H 'a: 1' -H 'a;' http://cart.default:8000/",
            ),
            (
                json!({"via": "gateway/a/b", "port": 443, "authority": "x.org", "tls": {"sni": "x.org"}}),
                "curl -k --connect-to ::localhost:8443 https://x.org/",
            ),
            (
                json!({"via": "gateway/a/b", "port": 15443, "protocol": "tls", "tls": {"sni": "x.org"}}),
                "openssl s_client -connect localhost:15443 -servername x.org",
            ),
        ];
        for (witness, expected) in cases {
            assert_eq!(command(&witness).as_deref(), Some(expected));
        }
        assert_eq!(command(&json!({"via": "mesh", "protocol": "tcp"})), None);
    }
}
