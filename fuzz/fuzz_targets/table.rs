//! The loader takes any bytes, and what it lets in can be evaluated.

#![no_main]

use libfuzzer_sys::fuzz_target;
use malha_table::{
    Request, Role, Table, Tls,
    format::seal,
    view::{Filter, Listener, PathTest, Proxy},
};

fuzz_target!(|bytes: &[u8]| {
    let _ = Table::load(bytes.to_vec());
    // Without the right checksums next to nothing would come further.
    let mut sealed = bytes.to_vec();
    seal(&mut sealed);
    let Ok(table) = Table::load(sealed) else { return };
    for proxy in table.proxies().take(4) {
        for listener in proxy.listeners().take(4) {
            evaluate(&table, &proxy, &listener);
        }
    }
    for rule in table.rules().take(64) {
        rule.source().map(|source| source.to_rule());
    }
});

/// Decides requests made of what the listener's own routes test.
fn evaluate(table: &Table, proxy: &Proxy<'_>, listener: &Listener<'_>) {
    for chain in listener.chains().take(4) {
        let tls = chain.server_names().next().map(|name| Tls { sni: Some(name.to_owned()), alpn: Vec::new() });
        let Some(Filter::Http(routes)) = chain.filter() else {
            decide(table, proxy, listener, tls, "a.b", "/");
            continue;
        };
        for host in routes.virtual_hosts().take(4) {
            let domain = host.domains().next().unwrap_or("a.b").replace('*', "x");
            decide(table, proxy, listener, tls.clone(), &domain, "/");
            for route in host.routes().take(16) {
                let path = match route.path_test() {
                    PathTest::Any => "/",
                    PathTest::Exact { value, .. } | PathTest::Prefix { value, .. } | PathTest::Regex(value) => value,
                };
                decide(table, proxy, listener, tls.clone(), &domain, path);
            }
        }
    }
}

fn decide(table: &Table, proxy: &Proxy<'_>, listener: &Listener<'_>, tls: Option<Tls>, host: &str, path: &str) {
    let request = Request {
        via: Some(if proxy.role() == Role::Gateway { "gateway" } else { "mesh" }.to_owned()),
        proxy: Some(proxy.identity()),
        port: Some(listener.port()),
        tls,
        authority: Some(host.to_owned()),
        path: Some(format!("{path}?q=a")),
        ..Request::default()
    };
    let _ = table.decide(&request, 7);
}
