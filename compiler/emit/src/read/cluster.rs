//! Clusters and their endpoints.

use super::{ReadError, Reader};
use malha_mesh::program::{Cluster, Discovery, Endpoint, LoadBalancer, Policy, UpstreamProtocol};
use malha_table::view;
use smol_str::SmolStr;
use std::sync::Arc;

impl Reader {
    pub(super) fn cluster(&mut self, cluster: &view::Cluster<'_>) -> Result<Arc<Cluster>, ReadError> {
        if let Some(known) = self.clusters.get(&cluster.index()) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(Cluster {
            name: cluster.name().into(),
            host: cluster.host().into(),
            port: cluster.port(),
            subset: cluster.subset().map(SmolStr::from),
            discovery: match cluster.discovery() {
                view::Discovery::Eds => Discovery::Eds,
                view::Discovery::StrictDns => Discovery::StrictDns,
                view::Discovery::LogicalDns => Discovery::LogicalDns,
                view::Discovery::OriginalDestination => Discovery::OriginalDestination,
                view::Discovery::DynamicDns => Discovery::DynamicDns,
            },
            original_port: cluster.original_port(),
            endpoints: cluster.endpoints().map(|found| endpoint(&found)).collect(),
            protocol: match cluster.protocol() {
                view::UpstreamProtocol::Http1 => UpstreamProtocol::Http1,
                view::UpstreamProtocol::Http2 => UpstreamProtocol::Http2,
                view::UpstreamProtocol::Clients => UpstreamProtocol::Clients,
            },
            policy: policy(cluster)?,
            destination_rule: cluster.destination_rule().map(|(namespace, name)| (namespace.into(), name.into())),
        });
        self.clusters.insert(cluster.index(), Arc::clone(&made));
        Ok(made)
    }
}

fn policy(cluster: &view::Cluster<'_>) -> Result<Policy, ReadError> {
    let source = cluster.policy_json().map(|text| {
        serde_json::from_str(text).map(Arc::new).map_err(|error| ReadError {
            what: format!("a policy of the cluster `{}`", cluster.name()),
            reason: error.to_string(),
        })
    });
    Ok(Policy {
        load_balancer: match cluster.load_balancer() {
            view::LoadBalancer::LeastRequest => LoadBalancer::LeastRequest,
            view::LoadBalancer::RoundRobin => LoadBalancer::RoundRobin,
            view::LoadBalancer::Random => LoadBalancer::Random,
            view::LoadBalancer::Passthrough => LoadBalancer::Passthrough,
            view::LoadBalancer::RingHash { minimum_size } => LoadBalancer::RingHash { minimum_size },
            view::LoadBalancer::Maglev { table_size } => LoadBalancer::Maglev { table_size },
        },
        connect_timeout: cluster.connect_timeout(),
        limits: cluster.limits().map(|(name, value)| (name.into(), value)).collect(),
        source: source.transpose()?,
    })
}

fn endpoint(endpoint: &view::Endpoint<'_>) -> Endpoint {
    Endpoint {
        address: endpoint.address().map(SmolStr::from),
        port: endpoint.port(),
        weight: endpoint.weight(),
        locality: endpoint.locality().map(SmolStr::from),
        priority: endpoint.priority(),
        locality_weight: endpoint.locality_weight(),
        workload: endpoint.workload().map(|(namespace, name)| (namespace.into(), name.into())),
        labels: endpoint.labels().map(|(name, value)| (name.into(), value.into())).collect(),
    }
}
