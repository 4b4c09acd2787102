//! What becomes of what no service takes (semantics B39, E21, E37).

use crate::config::OutboundMode;
use crate::lower::context::Context;
use crate::lower::destinations::Target;
use crate::program::{
    Action, ActionKind, Destination, EgressProxy, Fallback, Forward, HeaderOps, Route, TcpRoute, VirtualHost,
};
use malha_algebra::Predicate;
use smol_str::SmolStr;
use std::sync::Arc;

/// What becomes of it.
pub(super) struct Unknown {
    mode: OutboundMode,
    pub(super) egress_proxy: Option<EgressProxy>,
}

impl Unknown {
    pub(super) fn of(context: &Context<'_>) -> Self {
        let egress_proxy = context.mesh.egress_proxy(context.proxy).map(|named| {
            let Target { destination, .. } = (&context.resolver.as_written(named)).into();
            let destinations = vec![Destination { weight: 1, ..destination }];
            // It has no timeout, and is not tried again.
            let forward = Forward { destinations: destinations.clone(), ..Forward::default() };
            let action = Arc::new(action(ActionKind::Forward(Box::new(forward))));
            EgressProxy { action, bytes: TcpRoute { origin: None, destinations } }
        });
        Unknown { mode: context.mesh.outbound(context.proxy), egress_proxy }
    }

    /// Of connections.
    pub(super) fn fallback(&self) -> Fallback {
        match self.mode {
            OutboundMode::RegistryOnly => Fallback::Blackhole,
            OutboundMode::AllowAny if self.egress_proxy.is_some() => Fallback::EgressProxy,
            OutboundMode::AllowAny | OutboundMode::AllowAnyDynamicDns => Fallback::Passthrough,
        }
    }

    /// Of requests: the virtual host of unknown hosts.
    pub(super) fn catch_all(&self) -> Arc<VirtualHost> {
        let own = |kind| Route { predicate: Predicate::any(), action: Arc::new(action(kind)), origin: None };
        let route = match (self.mode, &self.egress_proxy) {
            (OutboundMode::RegistryOnly, _) => own(ActionKind::Blackhole),
            (OutboundMode::AllowAny, Some(proxy)) => proxy.route(),
            (OutboundMode::AllowAny, None) => own(ActionKind::Passthrough),
            (OutboundMode::AllowAnyDynamicDns, _) => own(ActionKind::ByHost),
        };
        Arc::new(VirtualHost {
            domains: vec![SmolStr::new_static("*")],
            require_tls: false,
            routes: Arc::new([route]),
            catch_all: Some(self.fallback()),
            ..VirtualHost::default()
        })
    }
}

fn action(kind: ActionKind) -> Action {
    Action { kind, request_headers: HeaderOps::default(), response_headers: HeaderOps::default() }
}
