//! Services by the names that a cluster's DNS gives them: a client reaches one that its sidecar does not know, too.

use super::{gateways::Gateways, local::Localizer};
use crate::failure::Failure;
use malha_mesh::{
    program::Endpoint,
    registry::{Service, ServiceOrigin},
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

impl Localizer<'_> {
    /// Where the Services of Kubernetes are on this machine, by name and port: their first endpoint each.
    ///
    /// # Errors
    /// A stand-in cannot be started.
    pub(super) fn neighbours(
        &mut self,
        gateways: &Gateways<'_>,
    ) -> Result<HashMap<String, HashMap<u16, SocketAddr>>, Failure> {
        let mut known: HashMap<String, HashMap<u16, SocketAddr>> = HashMap::new();
        let registry = self.mesh.registry();
        for service in registry.services().iter().filter(|service| service.origin == ServiceOrigin::Kubernetes) {
            let mut ports = HashMap::new();
            for port in &service.ports {
                let Ok(number) = u16::try_from(port.number) else { continue };
                let local = self.named(&service.hostname, port.number).next().map(|local| local.address);
                let address = match local {
                    Some(address) => Some(address),
                    // A gateway is nobody's to stand in for.
                    None => match registry.endpoints(service, port).first() {
                        Some(endpoint) if gateways.own(endpoint).is_none() => self.place(service, endpoint)?,
                        _ => None,
                    },
                };
                ports.extend(address.map(|address| (number, address)));
            }
            for name in names(service) {
                known.insert(name, ports.clone());
            }
        }
        Ok(known)
    }

    /// Where an endpoint is on this machine, if it is.
    fn place(&mut self, service: &Service, endpoint: &Endpoint) -> Result<Option<SocketAddr>, Failure> {
        let ip = endpoint.address.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
        if let Some(ip) = ip.filter(IpAddr::is_loopback) {
            return Ok(u16::try_from(endpoint.port).ok().map(|port| SocketAddr::new(ip, port)));
        }
        self.stand_in(&service.hostname, endpoint).transpose()
    }
}

/// As programs of other namespaces write a service: `name.namespace`, with `.svc`, or whole.
fn names(service: &Service) -> [String; 3] {
    let short = format!("{}.{}", service.name, service.namespace);
    [format!("{short}.svc"), short, service.hostname.to_string()]
}
