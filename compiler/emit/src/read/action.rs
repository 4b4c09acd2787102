//! What routes do.

use super::{ReadError, Reader, host, strings};
use malha_mesh::program::{
    Abort, Action, ActionKind, Cors, Delay, Destination, Forward, HashKey, HeaderOps, Mirror, PathRewrite, Redirect,
    Respond, Retries,
};
use malha_table::view;
use smol_str::SmolStr;
use std::sync::Arc;

impl Reader {
    pub(super) fn action(&mut self, action: &view::Action<'_>) -> Result<Arc<Action>, ReadError> {
        if let Some(known) = self.actions.get(&action.index()) {
            return Ok(Arc::clone(known));
        }
        let kind = match action.kind() {
            view::ActionKind::Forward(found) => ActionKind::Forward(Box::new(forward(&found)?)),
            view::ActionKind::Redirect(found) => ActionKind::Redirect(Box::new(redirect(&found))),
            view::ActionKind::Respond(found) => {
                ActionKind::Respond(Respond { status: found.status(), body: found.body().to_vec() })
            }
            view::ActionKind::Passthrough => ActionKind::Passthrough,
            view::ActionKind::ByHost => ActionKind::ByHost,
            view::ActionKind::Blackhole => ActionKind::Blackhole,
        };
        let made = Arc::new(Action {
            kind,
            request_headers: header_ops(&action.request_headers()),
            response_headers: header_ops(&action.response_headers()),
        });
        self.actions.insert(action.index(), Arc::clone(&made));
        Ok(made)
    }

    pub(super) fn destination(destination: &view::Destination<'_>) -> Destination {
        Destination {
            host: destination.host().into(),
            port: destination.port(),
            subset: destination.subset().map(SmolStr::from),
            weight: destination.weight(),
            cluster: destination.cluster().map(|cluster| cluster.name().into()),
            authority: destination.authority().map(SmolStr::from),
            request_headers: header_ops(&destination.request_headers()),
            response_headers: header_ops(&destination.response_headers()),
        }
    }
}

fn forward(forward: &view::Forward<'_>) -> Result<Forward, ReadError> {
    let path_rewrite = match forward.path_rewrite() {
        None => None,
        Some(view::PathRewrite::Matched(text)) => Some(PathRewrite::Matched(text.into())),
        Some(view::PathRewrite::Regex { text, substitution, .. }) => {
            Some(PathRewrite::Regex { pattern: host::pattern(text)?, substitution: substitution.into() })
        }
    };
    let fault = forward.fault();
    let mirrors = forward.mirrors().map(|mirror| Mirror {
        destination: Reader::destination(&mirror.destination()),
        per_million: mirror.per_million(),
    });
    Ok(Forward {
        destinations: forward.destinations().map(|destination| Reader::destination(&destination)).collect(),
        path_rewrite,
        authority: forward.authority().map(SmolStr::from),
        timeout: forward.timeout(),
        retries: forward.retries().map(|found| Arc::new(retries(&found))),
        mirrors: mirrors.collect(),
        delay: fault
            .as_ref()
            .and_then(view::Fault::delay)
            .map(|view::Delay { duration, per_million }| Delay { duration, per_million }),
        abort: fault.as_ref().and_then(view::Fault::abort).map(|abort| Abort {
            status: abort.status,
            grpc_status: abort.grpc_status.map(SmolStr::from),
            per_million: abort.per_million,
        }),
        cors: forward.cors().map(|found| cors(&found).map(Box::new)).transpose()?,
        hash: forward.hash().map(hash_key).collect(),
    })
}

fn retries(retries: &view::Retries<'_>) -> Retries {
    Retries {
        attempts: retries.attempts(),
        per_try_timeout: retries.per_try_timeout(),
        conditions: strings(retries.conditions()),
        status_codes: retries.status_codes().collect(),
        backoff: retries.backoff(),
        avoid_previous_hosts: retries.avoids_previous_hosts(),
        remote_localities: retries.tries_remote_localities(),
    }
}

fn cors(cors: &view::Cors<'_>) -> Result<Cors, ReadError> {
    Ok(Cors {
        allow_origins: cors.allow_origins().map(host::value_test).collect::<Result<_, _>>()?,
        allow_methods: strings(cors.allow_methods()),
        allow_headers: strings(cors.allow_headers()),
        expose_headers: strings(cors.expose_headers()),
        max_age: cors.max_age(),
        allow_credentials: cors.allow_credentials(),
        ignore_unmatched_preflights: cors.ignores_unmatched_preflights(),
    })
}

fn hash_key(key: view::HashKey<'_>) -> HashKey {
    match key {
        view::HashKey::Header(name) => HashKey::Header(name.into()),
        view::HashKey::Cookie { name, path, ttl } => {
            HashKey::Cookie { name: name.into(), path: path.map(SmolStr::from), ttl }
        }
        view::HashKey::SourceIp => HashKey::SourceIp,
        view::HashKey::QueryParameter(name) => HashKey::QueryParameter(name.into()),
    }
}

fn redirect(redirect: &view::Redirect<'_>) -> Redirect {
    let to = redirect.to();
    Redirect {
        status: redirect.status(),
        scheme: to.scheme.map(SmolStr::from),
        authority: to.authority.map(SmolStr::from),
        port: to.port,
        path: to.path.map(SmolStr::from),
        prefix: to.prefix.map(SmolStr::from),
    }
}

fn header_ops(ops: &view::HeaderOps<'_>) -> HeaderOps {
    let values = |views: view::Views<'_, view::HeaderOperation<'_>>| {
        views.map(|operation| (operation.name().into(), operation.text().into())).collect()
    };
    HeaderOps { set: values(ops.set()), add: values(ops.add()), remove: strings(ops.remove()) }
}
