//! Clusters and their endpoints.

use super::{EmitError, Writer, time};
use malha_mesh::program::{Cluster, Discovery, Endpoint, LoadBalancer, UpstreamProtocol};
use malha_table::format::{ClusterRecord, EndpointRecord, LimitRecord, U32, U64};

impl Writer<'_> {
    pub(super) fn cluster(&mut self, cluster: &Cluster) -> Result<U32, EmitError> {
        let mut endpoints = Vec::with_capacity(cluster.endpoints.len());
        for endpoint in &cluster.endpoints {
            endpoints.push(self.endpoint(endpoint)?);
        }
        let policy = &cluster.policy;
        let mut limits = Vec::with_capacity(policy.limits.len());
        for (name, value) in &policy.limits {
            limits.push(LimitRecord { name: self.strings.str(name)?, value: U32::new(*value) });
        }
        let (load_balancer, size) = match policy.load_balancer {
            LoadBalancer::LeastRequest => (0, 0),
            LoadBalancer::RoundRobin => (1, 0),
            LoadBalancer::Random => (2, 0),
            LoadBalancer::Passthrough => (3, 0),
            LoadBalancer::RingHash { minimum_size } => (4, minimum_size),
            LoadBalancer::Maglev { table_size } => (5, table_size),
        };
        let source = policy.source.as_ref().map(ToString::to_string);
        let rule = cluster.destination_rule.as_ref();
        let record = ClusterRecord {
            name: self.strings.str(&cluster.name)?,
            host: self.strings.str(&cluster.host)?,
            port: U32::new(cluster.port),
            subset: self.strings.optional(cluster.subset.as_deref())?,
            discovery: U32::new(match cluster.discovery {
                Discovery::Eds => 0,
                Discovery::StrictDns => 1,
                Discovery::LogicalDns => 2,
                Discovery::OriginalDestination => 3,
                Discovery::DynamicDns => 4,
            }),
            original_port: U32::new(cluster.original_port.unwrap_or(0)),
            protocol: U32::new(match cluster.protocol {
                UpstreamProtocol::Http1 => 0,
                UpstreamProtocol::Http2 => 1,
                UpstreamProtocol::Clients => 2,
            }),
            endpoints: self.endpoints.list(&endpoints)?,
            load_balancer: U32::new(load_balancer),
            size: U64::new(size),
            connect_timeout: time(policy.connect_timeout),
            limits: self.limits.list(&limits)?,
            policy: self.strings.optional(source.as_deref())?,
            rule_namespace: self.strings.optional(rule.map(|(namespace, _)| namespace.as_str()))?,
            rule_name: self.strings.optional(rule.map(|(_, name)| name.as_str()))?,
        };
        self.clusters.one(record)
    }

    fn endpoint(&mut self, endpoint: &Endpoint) -> Result<EndpointRecord, EmitError> {
        let workload = endpoint.workload.as_ref();
        Ok(EndpointRecord {
            address: self.strings.optional(endpoint.address.as_deref())?,
            port: U32::new(endpoint.port),
            weight: U32::new(endpoint.weight),
            locality: self.strings.optional(endpoint.locality.as_deref())?,
            priority: U32::new(endpoint.priority),
            locality_weight: U32::new(endpoint.locality_weight.unwrap_or(0)),
            workload_namespace: self.strings.optional(workload.map(|(namespace, _)| namespace.as_str()))?,
            workload_name: self.strings.optional(workload.map(|(_, name)| name.as_str()))?,
            labels: self.pair_list(endpoint.labels.iter())?,
        })
    }
}
