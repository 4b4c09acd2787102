//! Requests that are alike in what is hashed go to one endpoint (semantics D21, D22).

use crate::common::{
    client::{Answer, Client},
    echo::Echo,
    mesh, options, start,
};
use malha_table::Table;
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

const ROUTE: &str = "  - route:\n    - destination: {host: a}\n";

struct Hashing {
    proxy: crate::common::Running,
    echoes: Vec<Echo>,
}

/// A mesh whose `a` has this consistent hash, and whatever follows it in its policy.
fn table(settings: &str, endpoints: &[SocketAddr]) -> Arc<Table> {
    let rule = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: default}}\nspec:\n  \
         host: a\n  trafficPolicy:\n    loadBalancer:\n      consistentHash: {settings}\n"
    );
    mesh::compile(&format!("{}{rule}", mesh::gateway_text(ROUTE)), endpoints, &[])
}

fn hashing(settings: &str) -> Hashing {
    let echoes: Vec<Echo> = ["one", "two", "three"].map(Echo::start).into();
    let addresses: Vec<_> = echoes.iter().map(|echo| echo.address).collect();
    Hashing { proxy: start(table(settings, &addresses), options()), echoes }
}

impl Hashing {
    fn ask(&self, path: &str, headers: &str) -> Answer {
        Client::connect(self.proxy.gateway(80)).get("x.com", path, headers)
    }

    fn name(&self, path: &str, headers: &str) -> String {
        self.ask(path, headers).json()["name"].as_str().unwrap_or_default().to_owned()
    }
}

/// Where 40 values lead, each asked for three times.
fn led_to(hashing: &Hashing, ask: impl Fn(&Hashing, usize) -> String) -> BTreeSet<String> {
    (0..40)
        .map(|value| {
            let names: BTreeSet<String> = (0..3).map(|_| ask(hashing, value)).collect();
            assert_eq!(names.len(), 1, "value {value} goes to {names:?}");
            names.into_iter().next().unwrap_or_default()
        })
        .collect()
}

#[test]
fn by_query_parameter_and_header() {
    for kind in ["", ", maglev: {tableSize: 65537}", ", ringHash: {minimumRingSize: 64}"] {
        let query = hashing(&format!("{{httpQueryParameterName: user{kind}}}"));
        assert_eq!(led_to(&query, |all, user| all.name(&format!("/x?a=b&user=u{user}"), "")).len(), 3, "{kind}");
        let header = hashing(&format!("{{httpHeaderName: x-user{kind}}}"));
        assert_eq!(led_to(&header, |all, user| all.name("/", &format!("X-User: u{user}\r\n"))).len(), 3, "{kind}");
    }
}

#[test]
fn without_what_is_hashed_any_endpoint_is_asked() {
    let all = hashing("{httpHeaderName: x-user}");
    let names: BTreeSet<String> = (0..60).map(|_| all.name("/", "")).collect();
    assert_eq!(names.len(), 3);
}

#[test]
fn by_the_clients_address() {
    let all = hashing("{useSourceIp: true}");
    let names: BTreeSet<String> = (0..20).map(|_| all.name("/", "")).collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn by_a_cookie_that_the_first_answer_sets() {
    let all = hashing("{httpCookie: {name: sid, path: /shop, ttl: 60s}}");
    let mut names = BTreeSet::new();
    for _ in 0..60 {
        let first = all.ask("/", "");
        let set = first.header("set-cookie").expect("it sets the cookie").to_owned();
        let (pair, rest) = set.split_once(';').expect("it has attributes");
        assert_eq!(rest, " Max-Age=60; Path=/shop; HttpOnly");
        let next = all.ask("/", &format!("Cookie: other=1; {pair}\r\n"));
        assert_eq!((next.json()["name"].clone(), next.header("set-cookie")), (first.json()["name"].clone(), None));
        names.insert(first.json()["name"].to_string());
    }
    assert_eq!(names.len(), 3);
    // Requests of one connection that have none yet get one and the same.
    let mut client = Client::connect(all.proxy.gateway(80));
    let answers: BTreeSet<(String, String)> = (0..20)
        .map(|_| client.get("x.com", "/", ""))
        .map(|answer| (answer.json()["name"].to_string(), answer.header("set-cookie").unwrap_or_default().to_owned()))
        .collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    // Without a ttl none is set.
    let plain = hashing("{httpCookie: {name: sid}}");
    assert_eq!(plain.ask("/", "").header("set-cookie"), None);
    assert_eq!(led_to(&plain, |all, value| all.name("/", &format!("Cookie: sid={value}\r\n"))).len(), 3);
}

#[test]
fn what_an_ejected_endpoint_had_goes_elsewhere_and_the_rest_stays() {
    let detection = "\n    outlierDetection: {consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100}";
    for kind in ["", ", maglev: {tableSize: 7}"] {
        let all = hashing(&format!("{{httpHeaderName: x-user{kind}}}{detection}"));
        let ask = |user: usize, more: &str| all.ask("/", &format!("X-User: u{user}\r\n{more}"));
        let name = |user: usize| ask(user, "").json()["name"].as_str().unwrap_or_default().to_owned();
        let before: Vec<String> = (0..40).map(name).collect();
        assert_eq!(ask(0, "x-echo-status: 500\r\n").status, 500);
        for (user, was) in before.iter().enumerate() {
            let now = name(user);
            assert_ne!(now, before[0], "{user}: it is out");
            assert!(*was == now || *was == before[0], "{user}: {was} to {now}{kind}");
        }
        for user in 1..40 {
            ask(user, "x-echo-status: 500\r\n");
        }
        let none = ask(1, "");
        assert_eq!((none.status, none.text().as_str()), (503, "no healthy upstream"), "{kind}");
    }
}

#[test]
fn hashes_lead_where_they_led_when_a_table_is_loaded_anew() {
    let all = hashing("{httpHeaderName: x-user}");
    let name = |user: usize| all.name("/", &format!("X-User: u{user}\r\n"));
    let before: Vec<String> = (0..40).map(name).collect();
    let mut addresses: Vec<SocketAddr> = all.echoes.iter().map(|echo| echo.address).collect();
    all.proxy.swap(table("{httpHeaderName: x-user}", &addresses));
    assert_eq!((0..40).map(name).collect::<Vec<_>>(), before);
    addresses.reverse();
    all.proxy.swap(table("{httpHeaderName: x-user}", &addresses));
    assert_eq!((0..40).map(name).collect::<Vec<_>>(), before, "in another order");
    addresses.pop();
    all.proxy.swap(table("{httpHeaderName: x-user}", &addresses));
    assert!((0..40).all(|user| name(user) != "one"));
}
