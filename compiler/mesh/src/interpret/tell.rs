//! The program's words in those of the decision contract.

use super::Sources;
use crate::program::{
    Abort, Cors, Delay, Destination, Discovery, HeaderOps, Listener, Mirror, Origin, ProxyProgram, Redirect, Retries,
};
use malha_algebra::ValueTest;
use malha_table::http::{RedirectTo, duration_text};
use std::collections::BTreeMap;

pub(super) fn listener(listener: &Listener) -> malha_table::ListenerName {
    malha_table::ListenerName { port: listener.port, protocol: listener.protocol.to_string() }
}

pub(super) fn rule(origin: &Origin, sources: &Sources<'_>) -> malha_table::Rule {
    let (file, line) = sources(origin.location);
    malha_table::Rule {
        kind: "VirtualService".to_owned(),
        namespace: origin.namespace.to_string(),
        name: origin.name.to_string(),
        section: origin.section.to_owned(),
        index: origin.index,
        match_index: origin.match_index,
        route_name: origin.route_name.as_ref().map(ToString::to_string),
        file,
        line,
        delegate: origin.delegate.as_deref().map(|delegate| Box::new(rule(delegate, sources))),
    }
}

pub(super) fn destination(program: &ProxyProgram, destination: &Destination) -> malha_table::Destination {
    let cluster = super::cluster(program, destination);
    let counted =
        cluster.filter(|cluster| !matches!(cluster.discovery, Discovery::OriginalDestination | Discovery::DynamicDns));
    malha_table::Destination {
        host: destination.host.to_string(),
        port: destination.port,
        subset: destination.subset.as_ref().map(ToString::to_string),
        weight: destination.weight,
        endpoints: counted.map(|cluster| cluster.endpoints.len() as u32),
        missing: cluster.is_none(),
        request_headers: header_ops(&destination.request_headers),
        response_headers: header_ops(&destination.response_headers),
    }
}

pub(super) fn header_ops(ops: &HeaderOps) -> malha_table::HeaderOps {
    let strings = |entries: &BTreeMap<_, _>| {
        entries
            .iter()
            .map(|(name, value): (&smol_str::SmolStr, &smol_str::SmolStr)| (name.to_string(), value.to_string()))
            .collect()
    };
    malha_table::HeaderOps {
        set: strings(&ops.set),
        add: strings(&ops.add),
        remove: ops.remove.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn redirect_to(redirect: &Redirect) -> RedirectTo<'_> {
    RedirectTo {
        scheme: redirect.scheme.as_deref(),
        authority: redirect.authority.as_deref(),
        port: redirect.port,
        path: redirect.path.as_deref(),
        prefix: redirect.prefix.as_deref(),
    }
}

pub(super) fn retries(retries: &Retries) -> malha_table::Retries {
    let codes = retries.status_codes.iter().map(ToString::to_string);
    malha_table::Retries {
        attempts: retries.attempts,
        per_try_timeout: retries.per_try_timeout.map(duration_text),
        retry_on: retries.conditions.iter().map(ToString::to_string).chain(codes).collect(),
    }
}

pub(super) fn mirror(mirror: &Mirror) -> malha_table::Mirror {
    malha_table::Mirror {
        host: mirror.destination.host.to_string(),
        port: mirror.destination.port,
        subset: mirror.destination.subset.as_ref().map(ToString::to_string),
        percentage: percentage(mirror.per_million),
        missing: mirror.destination.cluster.is_none(),
    }
}

pub(super) fn fault(delay: Option<&Delay>, abort: Option<&Abort>) -> Option<malha_table::Fault> {
    if delay.is_none() && abort.is_none() {
        return None;
    }
    Some(malha_table::Fault {
        delay: delay.map(|delay| malha_table::Delay {
            duration: duration_text(delay.duration),
            percentage: percentage(delay.per_million),
        }),
        abort: abort.map(|abort| malha_table::Abort {
            status: abort.status,
            grpc_status: abort.grpc_status.as_ref().map(ToString::to_string),
            percentage: percentage(abort.per_million),
        }),
    })
}

pub(super) fn cors(cors: &Cors) -> malha_table::Cors {
    let strings = |list: &[smol_str::SmolStr]| list.iter().map(ToString::to_string).collect();
    let origins = cors.allow_origins.iter().map(|origin| match origin {
        ValueTest::Present => "present".to_owned(),
        ValueTest::Exact(text) => format!("exact:{text}"),
        ValueTest::Prefix(text) => format!("prefix:{text}"),
        ValueTest::Regex(pattern) => format!("regex:{}", pattern.as_str()),
    });
    malha_table::Cors {
        allow_origins: origins.collect(),
        allow_methods: strings(&cors.allow_methods),
        allow_headers: strings(&cors.allow_headers),
        expose_headers: strings(&cors.expose_headers),
        max_age: cors.max_age.map(duration_text),
        allow_credentials: cors.allow_credentials,
        ignore_unmatched_preflights: cors.ignore_unmatched_preflights,
    }
}

fn percentage(per_million: u32) -> f64 {
    f64::from(per_million) / 10_000.0
}
