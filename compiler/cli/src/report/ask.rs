//! A witness as a command that asks the files what becomes of it.

use crate::{commands::route::parse_url, words::quoted};
use malha_table::Request;

/// `malha route` for a request, to be given the directory of either state; none for what is no request.
pub(crate) fn command(witness: &serde_json::Value) -> Option<String> {
    let request: Request = serde_json::from_value(witness.clone()).ok()?;
    // What no URL and no option says goes in as it is.
    by_url(&request).or_else(|| {
        let line = serde_json::to_string(&request).ok()?;
        // What `echo` makes of a backslash differs from shell to shell.
        Some(format!(r"printf '%s\n' {} | malha route --batch -", quoted(&line)))
    })
}

fn by_url(request: &Request) -> Option<String> {
    let scheme = if request.tls.is_some() { "https" } else { "http" };
    let (authority, path) = (request.authority.as_deref()?, request.path.as_deref().unwrap_or("/"));
    let url = format!("{scheme}://{authority}{path}");
    let parsed = parse_url(&url).ok()?;
    let usual_port = parsed.port;
    let Request { via, proxy, port, method, headers, .. } = request;
    let again = Request {
        via: via.clone(),
        proxy: proxy.clone(),
        port: *port,
        method: method.clone(),
        headers: headers.clone(),
        ..parsed
    };
    if again != (Request { path: Some(path.to_owned()), ..request.clone() }) {
        return None;
    }
    let mut words = vec!["malha route".to_owned()];
    if let Some(method) = method {
        words.push(format!("-X {}", quoted(method)));
    }
    for (name, lines) in headers {
        for line in lines.iter() {
            if line.trim() != line || name == "host" {
                return None;
            }
            words.push(format!("-H {}", quoted(&format!("{name}: {line}"))));
        }
    }
    // Said even where the proxy says it: it may be there in one of two states alone.
    if let Some(via) = via {
        words.push(format!("--via {}", quoted(via)));
    }
    if let Some(proxy) = proxy {
        words.push(format!("--proxy {}", quoted(&crate::words::proxy(proxy))));
    }
    if let Some(port) = port.filter(|port| Some(*port) != usual_port) {
        words.push(format!("--port {port}"));
    }
    words.push(quoted(&url));
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::command;
    use serde_json::json;

    #[test]
    fn witnesses_are_asked_for() {
        let gateway = json!({"namespace": "istio-system", "labels": {"istio": "ingressgateway"}});
        let cases = [
            (
                json!({"via": "gateway", "proxy": gateway, "port": 80, "authority": "x.org", "path": "/it's?a&b"}),
                r"malha route --via gateway --proxy istio-system/istio=ingressgateway 'http://x.org/it'\''s?a&b'",
            ),
            (
                json!({"via": "gateway/a/b", "port": 8443, "authority": "x.org", "path": "/", "tls": {"sni": "x.org"}}),
                "malha route --via gateway/a/b --port 8443 https://x.org/",
            ),
            (
                json!({"via": "mesh", "port": 8000, "authority": "cart.default", "method": "PUT", "headers": {"a": ["1", "2"]}}),
                "malha route -X PUT -H 'a: 1' -H 'a: 2' --via mesh --port 8000 http://cart.default/",
            ),
            (
                json!({"via": "mesh", "port": 5432, "protocol": "tcp"}),
                r#"printf '%s\n' '{"via":"mesh","port":5432,"protocol":"tcp"}' | malha route --batch -"#,
            ),
            (
                json!({"port": 80, "authority": "x.org", "path": "/", "headers": {"a": " "}}),
                r#"printf '%s\n' '{"port":80,"authority":"x.org","path":"/","headers":{"a":" "}}' | malha route --batch -"#,
            ),
        ];
        for (witness, expected) in cases {
            assert_eq!(command(&witness).as_deref(), Some(expected));
        }
    }
}
