use crate::testing::{mesh, mesh_with, object, sidecar};
use crate::{Mesh, MeshConfig, ProxySpec};
use serde_json::json;

const HERE: &[(&str, &str)] = &[("istio-locality", "eu.eu-1.a")];

fn proxy(labels: &[(&str, &str)]) -> ProxySpec {
    let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    ProxySpec { labels, ..sidecar("prod") }
}

/// A host with an endpoint in each of these localities, and a policy.
fn objects(localities: &[&str], policy: &str) -> Vec<String> {
    let endpoints = localities.iter().enumerate().map(|(number, locality)| {
        let (locality, more) = locality.split_once(' ').unwrap_or((locality, ""));
        format!("{{address: 192.0.2.{number}, locality: '{locality}'{more}}}")
    });
    let endpoints = endpoints.collect::<Vec<_>>().join(", ");
    let ports = "ports: [{number: 80, name: p, protocol: HTTP}]";
    let entry = format!("spec: {{hosts: [x.org], {ports}, resolution: STATIC, endpoints: [{endpoints}]}}");
    let rule = format!("spec: {{host: x.org, trafficPolicy: {{{policy}}}}}");
    vec![object("ServiceEntry prod/s", &entry), object("DestinationRule prod/d", &rule)]
}

/// The endpoints as `NUMBER:PRIORITY`, and `*WEIGHT` where localities have weights.
fn placed(mesh: &Mesh, proxy: &ProxySpec) -> String {
    let cluster = mesh.cluster(proxy, "x.org", 80, None).expect("there is such a cluster");
    let endpoints = cluster.endpoints.iter().map(|endpoint| {
        let number = endpoint.address.as_deref().and_then(|address| address.rsplit('.').next()).unwrap_or_default();
        let weight = endpoint.locality_weight.map(|weight| format!("*{weight}")).unwrap_or_default();
        format!("{number}:{}{weight}", endpoint.priority)
    });
    endpoints.collect::<Vec<_>>().join(" ")
}

fn at(localities: &[&str], policy: &str, labels: &[(&str, &str)]) -> String {
    placed(&mesh(&objects(localities, policy)), &proxy(labels))
}

const FIVE: &[&str] = &["eu/eu-1/a", "eu/eu-1/b", "eu/eu-2/a", "us/us-1/a", "asia"];

#[test]
fn priorities_need_outlier_detection_and_a_locality() {
    assert_eq!(at(FIVE, "outlierDetection: {}", HERE), "0:0 1:1 2:2 3:3 4:3", "D31");
    assert_eq!(at(FIVE, "loadBalancer: {simple: RANDOM}", HERE), "0:0 1:0 2:0 3:0 4:0", "D29");
    assert_eq!(at(FIVE, "outlierDetection: {}", &[("app", "a")]), "0:0 1:0 2:0 3:0 4:0", "D33");
    assert_eq!(at(&FIVE[2..], "outlierDetection: {}", HERE), "0:0 1:1 2:1", "D31: no gaps");
    let off = "outlierDetection: {}, loadBalancer: {localityLbSetting: {enabled: false}}";
    assert_eq!(at(FIVE, off, HERE), "0:0 1:0 2:0 3:0 4:0", "D28");
}

#[test]
fn a_region_stands_in_for_another() {
    let policy = |from: &str| {
        format!(
            "outlierDetection: {{}}, loadBalancer: {{localityLbSetting: {{failover: [{{from: {from}, to: asia}}]}}}}"
        )
    };
    assert_eq!(at(FIVE, &policy("eu"), HERE), "0:0*1 1:1*1 2:2*1 3:4*1 4:3*1", "D31");
    assert_eq!(at(FIVE, &policy("africa"), HERE), "0:0*1 1:1*1 2:2*1 3:3*1 4:3*1", "D31");
}

#[test]
fn labels_make_priorities() {
    let policy = |labels: &str| {
        format!("outlierDetection: {{}}, loadBalancer: {{localityLbSetting: {{failoverPriority: [{labels}]}}}}")
    };
    let labelled = |labels: &str| format!("eu/eu-1/a , labels: {{{labels}}}, weight: 2");
    let endpoints = [labelled("v: '1', net: x"), labelled("v: '1'"), labelled("net: x"), labelled("v: '2'")];
    let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    let own = [("v", "1"), ("net", "x")];
    assert_eq!(at(&endpoints, &policy("v, net"), &own), "0:0*2 1:1*2 2:2*4 3:2*4", "D32");
    assert_eq!(at(&endpoints, &policy("v=2, net"), &own), "0:1*6 1:1*6 2:1*6 3:0*2", "D32");
    assert_eq!(at(&endpoints, &policy("v, net"), &[]), "0:0 1:0 2:0 3:0");
    let regions = policy("topology.kubernetes.io/region, topology.kubernetes.io/zone");
    assert_eq!(at(FIVE, &regions, HERE), "0:0*1 1:0*1 2:1*1 3:2*1 4:2*1", "D32: localities say labels");
}

#[test]
fn requests_are_distributed_by_locality() {
    let policy = |entries: &str| format!("loadBalancer: {{localityLbSetting: {{distribute: [{entries}]}}}}");
    let entry = "{from: eu/eu-1/*, to: {eu/eu-1/*: 70, us: 30}}";
    let (first, other) = ("{from: us, to: {us: 100}}", "{from: eu/*, to: {asia: 100}}");
    // The two localities of eu-1 share its 70.
    let all = policy(&[first, entry, other].join(", "));
    assert_eq!(at(FIVE, &all, HERE), "0:0*35 1:0*35 3:0*30", "D30");
    assert_eq!(at(FIVE, &all, &[("istio-locality", "us")]), "3:0*100", "D30");
    let detecting = format!("outlierDetection: {{}}, {all}");
    assert_eq!(at(FIVE, &detecting, HERE), "0:0*35 1:0*35 3:0*30", "D33: no priorities beside");
    assert_eq!(at(FIVE, &all, &[("istio-locality", "africa")]), "0:0*1 1:0*1 2:0*1 3:0*1 4:0*1", "D30");
    assert_eq!(at(FIVE, &all, &[]), "0:0 1:0 2:0 3:0 4:0", "D33");
    let heavy = ["eu/eu-1/a , weight: 3", "eu/eu-1/a", "eu/eu-1/b", "us/us-1/a"];
    assert_eq!(at(&heavy, &all, HERE), "0:0*56 1:0*56 2:0*14 3:0*30", "D30: by the weights within a wildcard");
}

#[test]
fn the_mesh_says_what_rules_do_not() {
    let with =
        |policy: &str, config| placed(&mesh_with(&objects(FIVE, policy), MeshConfig::from_json(&config)), &proxy(HERE));
    let off = json!({"localityLbSetting": {"enabled": false}});
    assert_eq!(with("outlierDetection: {}", off.clone()), "0:0 1:0 2:0 3:0 4:0", "D28");
    let own = "outlierDetection: {}, loadBalancer: {localityLbSetting: {enabled: true}}";
    assert_eq!(with(own, off), "0:0 1:1 2:2 3:3 4:3", "D28: the rule's replaces it");
    let failover = json!({"localityLbSetting": {"failover": [{"from": "eu", "to": "us"}]}});
    assert_eq!(with("outlierDetection: {}", failover), "0:0*1 1:1*1 2:2*1 3:3*1 4:4*1", "D28");
    let detecting = json!({"defaultTrafficPolicy": {"outlierDetection": {}}});
    assert_eq!(with("loadBalancer: {simple: RANDOM}", detecting), "0:0 1:1 2:2 3:3 4:3", "D14, D29");
}

#[test]
fn zones_beat_localities_at_their_level() {
    let zones = "outlierDetection: {}, loadBalancer: {zoneAwareLbSetting: {enabled: true}}";
    assert_eq!(at(FIVE, zones, HERE), "0:0 1:0 2:0 3:1 4:1", "D28: a region is one pool");
    // A rule may have only one of the two.
    let both = json!({"localityLbSetting": {"enabled": false}, "zoneAwareLbSetting": {"enabled": true}});
    let mesh = mesh_with(&objects(FIVE, "outlierDetection: {}"), MeshConfig::from_json(&both));
    assert_eq!(placed(&mesh, &proxy(HERE)), "0:0 1:0 2:0 3:1 4:1", "D28: the mesh's zones beat its localities");
    let failover = "outlierDetection: {}, loadBalancer: {zoneAwareLbSetting: {failover: [{from: eu, to: asia}]}}";
    assert_eq!(at(FIVE, failover, HERE), "0:0 1:0 2:0 3:2 4:1", "D28");
    let off = "outlierDetection: {}, loadBalancer: {zoneAwareLbSetting: {enabled: false}}";
    assert_eq!(at(FIVE, off, HERE), "0:0 1:0 2:0 3:0 4:0", "D28");
}

#[test]
fn proxies_of_other_localities_have_other_programs() {
    let programs = |policy: &str, proxies: &[ProxySpec]| {
        let program = crate::lower(&mesh(&objects(FIVE, policy)), proxies, &mut crate::Cache::default());
        let mut programs: Vec<_> = program.proxies.iter().map(|proxy| std::sync::Arc::as_ptr(&proxy.program)).collect();
        programs.sort_unstable();
        programs.dedup();
        programs.len()
    };
    let elsewhere = proxy(&[("istio-locality", "us.us-1.a")]);
    let pair = [proxy(HERE), elsewhere];
    assert_eq!(programs("outlierDetection: {}", &pair), 2);
    assert_eq!(programs("loadBalancer: {localityLbSetting: {distribute: [{from: eu, to: {us: 100}}]}}", &pair), 2);
    assert_eq!(programs("connectionPool: {tcp: {}}", &pair), 1, "nothing reads where they are");
    let compared = "outlierDetection: {}, loadBalancer: {localityLbSetting: {failoverPriority: [v]}}";
    assert_eq!(programs(compared, &[proxy(&[("v", "1")]), proxy(&[("v", "2")]), proxy(&[("w", "1")])]), 3);
    assert_eq!(programs(compared, &[proxy(&[("w", "1")]), proxy(&[("w", "2")])]), 1);
}

#[test]
fn pods_and_templates_say_where_they_are() {
    let service = object("Service prod/a", "spec: {selector: {app: a}, ports: [{name: http, port: 80}]}");
    let template = |name: &str, labels: &str| {
        object(
            &format!("Deployment prod/{name}"),
            &format!("spec: {{selector: {{}}, template: {{metadata: {{labels: {labels}}}}}}}"),
        )
    };
    let mesh = mesh(&[
        service,
        object("Pod prod/p {app: a, istio-locality: eu.eu-1}", "status: {podIP: 10.1.0.1}"),
        template("t", "{app: a, topology.kubernetes.io/region: us, v: x}"),
        object("WorkloadEntry prod/w", "spec: {address: 192.0.2.1, labels: {app: a, istio-locality: af.af-1}}"),
        object(
            "WorkloadEntry prod/x",
            "spec: {address: 192.0.2.2, locality: asia/1, labels: {app: a, istio-locality: af.af-1}}",
        ),
    ]);
    let cluster = mesh.cluster(&sidecar("prod"), "a.prod.svc.cluster.local", 80, None).expect("it is there");
    let localities: Vec<&str> = cluster.endpoints.iter().filter_map(|endpoint| endpoint.locality.as_deref()).collect();
    assert_eq!(localities, ["eu/eu-1", "af/af-1", "asia/1", "us"], "E12");
}
