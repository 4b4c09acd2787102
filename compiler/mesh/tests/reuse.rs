//! What one edit lowers anew, and how long lowering takes.

use malha_mesh::program::{Program, Role, VirtualHost};
use malha_mesh::{Cache, Mesh, MeshConfig, ProxySpec, lower};
use malha_model::Resource;
use malha_syntax::SourceId;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The objects of one file.
fn read(file: u32, text: &str) -> Vec<Arc<Resource>> {
    let reading = malha_syntax::read(SourceId(file), text);
    let read = malha_model::read_documents(&reading.documents);
    assert!(read.findings.is_empty(), "{:?}", read.findings);
    read.resources.into_iter().map(Arc::new).collect()
}

/// One file with a Gateway, and one for each of `count` services with its VirtualService of five rules.
fn files(count: u32) -> Vec<String> {
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: default}\n\
                   spec:\n  selector: {istio: ingress}\n  servers:\n  \
                   - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}\n";
    let mut files = vec![gateway.to_owned()];
    files.extend((0..count).map(service_file));
    files
}

fn service_file(index: u32) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: s{index}, namespace: default}}\nspec:\n  \
         clusterIP: 10.{}.{}.1\n  selector: {{app: s{index}}}\n  ports:\n  - {{name: http, port: 80}}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v{index}, namespace: default}}\n\
         spec:\n  hosts: [s{index}]\n  gateways: [mesh, gw]\n  http:\n",
        index / 250,
        index % 250
    );
    for rule in 0..4 {
        writeln!(
            text,
            "  - match:\n    - uri: {{prefix: /r{rule}}}\n      headers: {{x-user: {{exact: a{rule}}}}}\n    \
             route:\n    - destination: {{host: s{index}}}"
        )
        .expect("a String takes all");
    }
    text + &format!("  - route:\n    - destination: {{host: s{index}}}\n")
}

fn link(files: &[Vec<Arc<Resource>>]) -> Mesh {
    Mesh::link(files.concat(), MeshConfig::default())
}

fn wanted(mesh: &Mesh) -> Vec<ProxySpec> {
    mesh.proxies().iter().cloned().chain([ProxySpec::default_sidecar()]).collect()
}

fn hosts(program: &Program) -> impl Iterator<Item = &Arc<VirtualHost>> {
    let tables = program.proxies.iter().flat_map(|proxy| &proxy.program.route_tables);
    tables.flat_map(|table| &table.virtual_hosts)
}

#[test]
fn an_edit_lowers_anew_what_it_reaches() {
    let texts = files(200);
    let mut files: Vec<_> = texts.iter().zip(0..).map(|(text, file)| read(file, text)).collect();
    let mut cache = Cache::default();
    let mesh = link(&files);
    let before = lower(&mesh, &wanted(&mesh), &mut cache);
    assert_eq!((cache.lowered(), cache.reused()), (400, 0), "200 hosts on the gateway, 200 on the sidecar");

    let again = lower(&mesh, &wanted(&mesh), &mut cache);
    assert_eq!((cache.lowered(), cache.reused()), (0, 400));
    let catch_all = 1;
    let shared = hosts(&before).zip(hosts(&again)).filter(|(before, again)| Arc::ptr_eq(before, again)).count();
    assert_eq!(shared + catch_all, hosts(&again).count(), "what is reused is the same, not a copy");

    files[7] = read(7, &texts[7].replace("prefix: /r2", "prefix: /other"));
    let mesh = link(&files);
    lower(&mesh, &wanted(&mesh), &mut cache);
    assert_eq!((cache.lowered(), cache.reused()), (2, 398), "one host, on the gateway and on the sidecar");

    files[9] = read(9, &format!("# A comment moves every line.\n{}", texts[9]));
    let mesh = link(&files);
    let moved = lower(&mesh, &wanted(&mesh), &mut cache);
    assert_eq!(cache.lowered(), 2, "what moved tells its new place");
    let places = hosts(&moved).flat_map(|host| host.routes.iter()).filter_map(|route| route.origin.as_ref());
    let moved: Vec<u32> =
        places.filter(|origin| origin.name == "v8").map(|origin| origin.location.span.start).collect();
    assert!(moved.iter().all(|start| texts[9].len() as u32 > *start && *start > 30), "{moved:?}");
}

#[test]
fn a_service_that_comes_or_goes_reaches_the_rules_that_name_it() {
    let mut texts = files(20);
    texts.push(service_file(20).replace("host: s20", "host: late"));
    let mut files: Vec<_> = texts.iter().zip(0..).map(|(text, file)| read(file, text)).collect();
    let mut cache = Cache::default();
    let mesh = link(&files);
    let program = lower(&mesh, &wanted(&mesh), &mut cache);
    let lacks_clusters = |program: &Program| {
        let is_lacking = |host: &&Arc<VirtualHost>| format!("{host:?}").contains("cluster: None");
        hosts(program).filter(is_lacking).count()
    };
    assert_eq!(lacks_clusters(&program), 2, "503 NC on the gateway and on the sidecar");

    let late = "apiVersion: v1\nkind: Service\nmetadata: {name: late, namespace: default}\nspec:\n  ports:\n  \
                - {name: http, port: 80}\n";
    files.push(read(99, late));
    let mesh = link(&files);
    let program = lower(&mesh, &wanted(&mesh), &mut cache);
    assert_eq!(lacks_clusters(&program), 0);
    assert_eq!(cache.lowered(), 3, "the host whose rules name it, twice, and its own on the sidecar");
}

#[test]
fn proxies_alike_share_one_program() {
    let texts = files(3);
    let files: Vec<_> = texts.iter().zip(0..).map(|(text, file)| read(file, text)).collect();
    let mesh = link(&files);
    let sidecar = |name: &str, namespace: &str| ProxySpec {
        role: Role::Sidecar,
        namespace: namespace.into(),
        name: name.into(),
        labels: [("app".into(), name.into())].into(),
    };
    let wanted = [sidecar("a", "default"), sidecar("b", "default"), sidecar("a", "other")];
    let program = lower(&mesh, &wanted, &mut Cache::default());
    let [a, b, other] = program.proxies.as_slice() else { panic!("three proxies") };
    assert!(Arc::ptr_eq(&a.program, &b.program), "no rule asks for the label `app`");
    assert!(!Arc::ptr_eq(&a.program, &other.program), "short names depend on the namespace");
}

/// `cargo test --release -p malha-mesh --test reuse -- --ignored --nocapture`.
#[test]
#[ignore = "takes its time, and says something only when optimised"]
fn ten_thousand_services_lower_fast() {
    let texts = files(10_000);
    let mut files: Vec<_> = texts.iter().zip(0..).map(|(text, file)| read(file, text)).collect();
    let mesh = link(&files);
    let mut cache = Cache::default();
    let timed = |mesh: &Mesh, cache: &mut Cache| {
        let start = Instant::now();
        let program = lower(mesh, &wanted(mesh), cache);
        let elapsed = start.elapsed();
        (elapsed, hosts(&program).map(|host| host.routes.len()).sum::<usize>())
    };
    let (cold, routes) = timed(&mesh, &mut cache);
    assert_eq!(routes, 100_001, "50,000 each on the gateway and the sidecar, and the catch-all");
    files[77] = read(77, &texts[77].replace("prefix: /r2", "prefix: /other"));
    let mesh = link(&files);
    let (warm, _) = timed(&mesh, &mut cache);
    println!("{routes} routes: cold {cold:?}, after an edit {warm:?}");
    assert_eq!(cache.lowered(), 2);
    assert!(cold < Duration::from_millis(500), "{cold:?}");
}
