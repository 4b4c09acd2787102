//! What is said of destinations, against the clusters that the real Istio made: no destination that has a cluster is called
//! unknown, and of every one that a request missed something is told.

use crate::recorded::{Case, each_case};
use malha_lint::check;
use malha_mesh::{
    Cache, Mesh, MeshConfig, ProxySpec,
    config::{Completeness, ConfiguredGateway},
    lower,
    program::Role,
};
use malha_syntax::Finding;
use serde_json::Value;
use std::collections::BTreeSet;

/// The texts between backticks of a message.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// The findings on a case whose files are all there is.
fn findings(case: &Case) -> (Mesh, Vec<Finding>) {
    let (mesh, _) = case.link();
    let gateways = case.wanted().into_iter().filter(|proxy| proxy.role == Role::Gateway);
    let gateways =
        gateways.map(|ProxySpec { name, namespace, labels, .. }| ConfiguredGateway { name, namespace, labels });
    let config = MeshConfig { registry: Completeness::Closed, gateways: gateways.collect(), ..mesh.config().clone() };
    let mesh = Mesh::link(mesh.resources().to_vec(), config);
    let mut wanted = mesh.proxies().to_vec();
    wanted.push(ProxySpec::default_sidecar());
    let program = lower(&mesh, &wanted, &mut Cache::default());
    let findings = check(&mesh, &program);
    (mesh, findings)
}

/// A cluster that Istio made.
struct Cluster<'a> {
    port: &'a str,
    subset: &'a str,
    host: &'a str,
    /// How many endpoints it has.
    endpoints: usize,
    /// The DestinationRule that it is made by.
    rule: &'a str,
}

/// The clusters of all proxies.
fn clusters(case: &Case) -> Vec<Cluster<'_>> {
    let proxies = case.clusters.as_object().into_iter().flatten();
    let clusters = proxies.flat_map(|(_, clusters)| clusters.as_object().into_iter().flatten());
    clusters.filter_map(|(name, cluster)| read(name, cluster)).collect()
}

fn read<'a>(name: &'a str, cluster: &'a Value) -> Option<Cluster<'a>> {
    let mut parts = name.strip_prefix("outbound|")?.splitn(3, '|');
    Some(Cluster {
        port: parts.next()?,
        subset: parts.next()?,
        host: parts.next()?,
        endpoints: cluster["endpoints"].as_array().map_or(0, Vec::len),
        rule: cluster["rule"].as_str().unwrap_or_default(),
    })
}

#[test]
fn what_is_called_unknown_has_no_cluster() {
    let (mut told, mut wrong) = ([0_usize; 6], Vec::new());
    each_case(|case| {
        let clusters = clusters(&case);
        for finding in findings(&case).1 {
            let names = quoted(&finding.message);
            let is_wrong = match finding.rule.code {
                "D010" => {
                    told[0] += 1;
                    clusters.iter().any(|cluster| cluster.host == names[0])
                }
                "D011" => {
                    told[1] += 1;
                    let (_, number) = finding.message.split_once(", not ").expect("it says which");
                    let number = number.split(',').next().unwrap_or_default();
                    clusters.iter().any(|cluster| (cluster.host, cluster.port) == (names[0], number))
                }
                "D013" => {
                    told[2] += 1;
                    let rule = finding.resource.as_ref().expect("it is about an object");
                    let rule = format!("{}/{}", rule.namespace, rule.name);
                    clusters.iter().any(|cluster| {
                        (cluster.host, cluster.subset, cluster.rule) == (names[0], names[1], rule.as_str())
                            && cluster.endpoints > 0
                    })
                }
                "D001" if !case.text.contains("workloadSelector") => {
                    told[4] += 1;
                    let (who, subset, host) = (names[0], names[1], names[2]);
                    let is_client = |proxy: &ProxySpec| match proxy.role {
                        Role::Gateway => format!("{}/{}", proxy.namespace, proxy.name) == who,
                        Role::Sidecar => proxy.namespace == who,
                    };
                    let clients = case.wanted().into_iter().filter(is_client);
                    let clusters =
                        clients.filter_map(|client| case.clusters[client.name.as_str()].as_object().cloned());
                    let end = format!("|{subset}|{host}");
                    clusters.into_iter().any(|clusters| clusters.keys().any(|name| name.ends_with(&end)))
                }
                // Which rule Istio made the clusters of a client by.
                "D003" if !case.text.contains("workloadSelector") => {
                    let (who, rule, host) = (names[0], names[1], names[2]);
                    let clients = case.wanted().into_iter().filter(|proxy| proxy.namespace == who);
                    let end = format!("|{host}");
                    let made = clients.flat_map(|client| {
                        let clusters = case.clusters[client.name.as_str()].as_object().into_iter().flatten();
                        let made = clusters.filter(|(name, _)| name.ends_with(&end));
                        made.filter_map(|(_, cluster)| cluster["rule"].as_str()).collect::<Vec<_>>()
                    });
                    let made: Vec<&str> = made.collect();
                    told[5] += usize::from(!made.is_empty());
                    made.into_iter().any(|by| by != rule)
                }
                "D016" => {
                    told[3] += 1;
                    let rule = finding.resource.as_ref().expect("it is about an object");
                    let rule = format!("{}/{}", rule.namespace, rule.name);
                    let mut asked =
                        case.asked.iter().filter(|asked| asked.expect["route"]["virtualService"] == rule.as_str());
                    asked.any(|asked| {
                        let mut sent = asked.expect["destinations"].as_array().into_iter().flatten();
                        sent.any(|sent| sent["host"] == names[0] && sent["missing"] != Value::Bool(true))
                    })
                }
                _ => false,
            };
            if is_wrong {
                wrong.push(format!("{}: {} {}", case.id, finding.rule.code, finding.message));
            }
        }
    });
    println!("hosts, ports, empty subsets, hidden hosts, subsets, rules: {told:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        told[0] > 100 && told[1] > 10 && told[2] > 10 && told[3] > 10 && told[4] > 100,
        "the recordings hold more than {told:?}"
    );
}

#[test]
fn every_host_that_nobody_had_is_told() {
    let (mut missed, mut silent) = (0_usize, BTreeSet::new());
    each_case(|case| {
        let (mesh, findings) = findings(&case);
        let told: BTreeSet<&str> = findings
            .iter()
            .filter(|finding| finding.rule.code == "D010")
            .filter_map(|finding| quoted(&finding.message).into_iter().next())
            .collect();
        let asked = case.asked.iter().flat_map(|asked| asked.expect["destinations"].as_array().into_iter().flatten());
        for destination in asked.filter(|destination| destination["missing"] == Value::Bool(true)) {
            let host = destination["host"].as_str().unwrap_or_default();
            if mesh.registry().services_of_host(host).next().is_none() {
                missed += 1;
                if !told.contains(host) {
                    silent.insert(format!("{}: {host}", case.id));
                }
            }
        }
    });
    assert!(silent.is_empty(), "{silent:?}");
    assert!(missed > 100, "the recordings hold more than {missed}");
}
