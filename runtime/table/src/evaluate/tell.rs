//! The table's words in those of the decision contract.

use crate::{
    Abort, Cors, Delay, Fault, HeaderOps, ListenerName, Mirror, Retries,
    http::duration_text,
    view::{self, ValueTestKind, Views},
};
use std::collections::BTreeMap;

pub(super) fn listener(listener: &view::Listener<'_>) -> ListenerName {
    ListenerName { port: listener.port(), protocol: listener.protocol().to_owned() }
}

pub(super) fn destination(destination: &view::Destination<'_>) -> crate::Destination {
    let cluster = destination.cluster();
    crate::Destination {
        host: destination.host().to_owned(),
        port: destination.port(),
        subset: destination.subset().map(str::to_owned),
        weight: destination.weight(),
        endpoints: cluster.and_then(|cluster| cluster.usable_endpoints()),
        missing: cluster.is_none(),
        request_headers: header_ops(&destination.request_headers()),
        response_headers: header_ops(&destination.response_headers()),
    }
}

pub(super) fn header_ops(ops: &view::HeaderOps<'_>) -> HeaderOps {
    let map = |values: Views<'_, view::HeaderOperation<'_>>| -> BTreeMap<String, String> {
        values.map(|value| (value.name().to_owned(), value.text().to_owned())).collect()
    };
    HeaderOps { set: map(ops.set()), add: map(ops.add()), remove: ops.remove().map(str::to_owned).collect() }
}

pub(super) fn retries(retries: &view::Retries<'_>) -> Retries {
    let codes = retries.status_codes().map(|code| code.to_string());
    Retries {
        attempts: retries.attempts(),
        per_try_timeout: retries.per_try_timeout().map(duration_text),
        retry_on: retries.conditions().map(str::to_owned).chain(codes).collect(),
    }
}

pub(super) fn mirror(mirror: &view::Mirror<'_>) -> Mirror {
    let destination = mirror.destination();
    Mirror {
        host: destination.host().to_owned(),
        port: destination.port(),
        subset: destination.subset().map(str::to_owned),
        percentage: percentage(mirror.per_million()),
        missing: destination.cluster().is_none(),
    }
}

pub(super) fn fault(fault: &view::Fault<'_>) -> Fault {
    Fault {
        delay: fault
            .delay()
            .map(|delay| Delay { duration: duration_text(delay.duration), percentage: percentage(delay.per_million) }),
        abort: fault.abort().map(|abort| Abort {
            status: abort.status,
            grpc_status: abort.grpc_status.map(str::to_owned),
            percentage: percentage(abort.per_million),
        }),
    }
}

pub(super) fn cors(cors: &view::Cors<'_>) -> Cors {
    let origins = cors.allow_origins().map(|origin| match origin.kind() {
        ValueTestKind::Present => "present".to_owned(),
        ValueTestKind::Exact(text) => format!("exact:{text}"),
        ValueTestKind::Prefix(text) => format!("prefix:{text}"),
        ValueTestKind::Regex(text) => format!("regex:{text}"),
    });
    Cors {
        allow_origins: origins.collect(),
        allow_methods: cors.allow_methods().map(str::to_owned).collect(),
        allow_headers: cors.allow_headers().map(str::to_owned).collect(),
        expose_headers: cors.expose_headers().map(str::to_owned).collect(),
        max_age: cors.max_age().map(duration_text),
        allow_credentials: cors.allow_credentials(),
        ignore_unmatched_preflights: cors.ignores_unmatched_preflights(),
    }
}

fn percentage(per_million: u32) -> f64 {
    f64::from(per_million) / 10_000.0
}
