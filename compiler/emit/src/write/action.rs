//! What routes do.

use super::{EmitError, Writer, flag, none, time};
use malha_mesh::program::{
    Action, ActionKind, Cors, Destination, Forward, HashKey, HeaderOps, PathRewrite, Redirect, Respond, Retries,
};
use malha_table::{
    format::{
        ActionRecord, CorsRecord, DestinationRecord, FaultRecord, ForwardRecord, HashKeyRecord, HeaderOpsRecord,
        HeaderValueRecord, MirrorRecord, NO_TIME, Range, RedirectRecord, RespondRecord, RetriesRecord, Str, U32, U64,
    },
    http::Template,
};
use smol_str::SmolStr;
use std::{collections::BTreeMap, sync::Arc};

impl Writer<'_> {
    pub(super) fn action(&mut self, action: &Arc<Action>) -> Result<U32, EmitError> {
        if let Some(known) = self.in_program.actions.get(&Arc::as_ptr(action)) {
            return Ok(*known);
        }
        let (kind, target) = match &action.kind {
            ActionKind::Forward(forward) => (0, self.forward(forward)?),
            ActionKind::Redirect(redirect) => (1, self.redirect(redirect)?),
            ActionKind::Respond(respond) => (2, self.respond(respond)?),
            ActionKind::Passthrough => (3, none()),
            ActionKind::Blackhole => (4, none()),
            ActionKind::ByHost => (5, none()),
        };
        let record = ActionRecord {
            kind: U32::new(kind),
            target,
            request_headers: self.header_ops(&action.request_headers)?,
            response_headers: self.header_ops(&action.response_headers)?,
        };
        let number = self.actions.one(record)?;
        self.in_program.actions.insert(Arc::as_ptr(action), number);
        Ok(number)
    }

    fn forward(&mut self, forward: &Forward) -> Result<U32, EmitError> {
        let (rewrite, replacement, rewrite_pattern) = match &forward.path_rewrite {
            None => (0, Str::NONE, none()),
            Some(PathRewrite::Matched(text)) => (1, self.strings.str(text)?, none()),
            Some(PathRewrite::Regex { pattern, substitution }) => match self.rewrite_pattern(pattern)? {
                Some(pattern) => (2, self.strings.str(substitution)?, pattern),
                // Lowering has told of it.
                None => (0, Str::NONE, none()),
            },
        };
        let mut mirrors = Vec::with_capacity(forward.mirrors.len());
        for mirror in &forward.mirrors {
            mirrors.push(MirrorRecord {
                destination: self.destination(&mirror.destination)?,
                per_million: U32::new(mirror.per_million),
            });
        }
        let mut hash = Vec::with_capacity(forward.hash.len());
        for key in &forward.hash {
            hash.push(self.hash_key(key)?);
        }
        let record = ForwardRecord {
            destinations: self.destination_list(&forward.destinations)?,
            rewrite: U32::new(rewrite),
            replacement,
            rewrite_pattern,
            authority: self.strings.optional(forward.authority.as_deref())?,
            timeout: time(forward.timeout),
            retries: match &forward.retries {
                Some(retries) => self.retries(retries)?,
                None => none(),
            },
            mirrors: self.mirrors.list(&mirrors)?,
            fault: self.fault(forward)?,
            cors: match &forward.cors {
                Some(cors) => self.cors(cors)?,
                None => none(),
            },
            hash: self.hash_keys.list(&hash)?,
        };
        self.forwards.one(record)
    }

    pub(super) fn destination_list(&mut self, destinations: &[Destination]) -> Result<Range, EmitError> {
        let mut list = Vec::with_capacity(destinations.len());
        for destination in destinations {
            list.push(self.destination(destination)?);
        }
        self.destinations.list(&list)
    }

    fn destination(&mut self, destination: &Destination) -> Result<DestinationRecord, EmitError> {
        let cluster = match &destination.cluster {
            None => none(),
            Some(name) => {
                let known = self.in_program.clusters.get(name).copied();
                known.ok_or_else(|| EmitError::Dangling(format!("cluster `{name}`")))?
            }
        };
        Ok(DestinationRecord {
            host: self.strings.str(&destination.host)?,
            port: U32::new(destination.port),
            subset: self.strings.optional(destination.subset.as_deref())?,
            weight: U32::new(destination.weight),
            cluster,
            authority: self.strings.optional(destination.authority.as_deref())?,
            request_headers: self.header_ops(&destination.request_headers)?,
            response_headers: self.header_ops(&destination.response_headers)?,
        })
    }

    fn header_ops(&mut self, ops: &HeaderOps) -> Result<U32, EmitError> {
        let is_empty = ops.set.is_empty() && ops.add.is_empty() && ops.remove.is_empty();
        if let Some(known) = self.no_header_ops.filter(|_| is_empty) {
            return Ok(known);
        }
        let record = HeaderOpsRecord {
            set: self.header_values(&ops.set)?,
            add: self.header_values(&ops.add)?,
            remove: self.string_list(&ops.remove)?,
        };
        let number = self.header_ops.one(record)?;
        if is_empty {
            self.no_header_ops = Some(number);
        }
        Ok(number)
    }

    fn header_values(&mut self, values: &BTreeMap<SmolStr, SmolStr>) -> Result<Range, EmitError> {
        let mut list = Vec::with_capacity(values.len());
        for (name, value) in values {
            if value.contains('%')
                && let Err(error) = Template::parse(value)
            {
                return Err(EmitError::Value { text: value.to_string(), reason: error.to_string() });
            }
            list.push(HeaderValueRecord { name: self.strings.str(name)?, value: self.strings.str(value)? });
        }
        self.header_values.list(&list)
    }

    fn retries(&mut self, retries: &Retries) -> Result<U32, EmitError> {
        let record = RetriesRecord {
            attempts: U32::new(retries.attempts),
            per_try_timeout: time(retries.per_try_timeout),
            conditions: self.string_list(&retries.conditions)?,
            status_codes: self.number_list(retries.status_codes.iter().map(|code| u32::from(*code)))?,
            backoff: time(retries.backoff),
            flags: U32::new(u32::from(retries.avoid_previous_hosts) | u32::from(retries.remote_localities) << 1),
        };
        self.retries.one(record)
    }

    fn fault(&mut self, forward: &Forward) -> Result<U32, EmitError> {
        if forward.delay.is_none() && forward.abort.is_none() {
            return Ok(none());
        }
        let delay = forward.delay.as_ref();
        let abort = forward.abort.as_ref();
        let record = FaultRecord {
            delay: delay.map_or(U64::new(NO_TIME), |delay| time(Some(delay.duration))),
            delay_per_million: U32::new(delay.map_or(0, |delay| delay.per_million)),
            has_abort: flag(abort.is_some()),
            status: U32::new(abort.and_then(|abort| abort.status).map_or(0, u32::from)),
            grpc_status: self.strings.optional(abort.and_then(|abort| abort.grpc_status.as_deref()))?,
            abort_per_million: U32::new(abort.map_or(0, |abort| abort.per_million)),
        };
        self.faults.one(record)
    }

    fn cors(&mut self, cors: &Cors) -> Result<U32, EmitError> {
        let mut origins = Vec::with_capacity(cors.allow_origins.len());
        for origin in &cors.allow_origins {
            origins.push(self.value_test(origin)?);
        }
        let record = CorsRecord {
            allow_origins: self.value_tests.list(&origins)?,
            allow_methods: self.string_list(&cors.allow_methods)?,
            allow_headers: self.string_list(&cors.allow_headers)?,
            expose_headers: self.string_list(&cors.expose_headers)?,
            max_age: time(cors.max_age),
            allow_credentials: U32::new(cors.allow_credentials.map_or(2, u32::from)),
            ignore_unmatched_preflights: flag(cors.ignore_unmatched_preflights),
        };
        self.cors.one(record)
    }

    fn hash_key(&mut self, key: &HashKey) -> Result<HashKeyRecord, EmitError> {
        let (kind, name, path, ttl) = match key {
            HashKey::Header(name) => (0, Some(name), None, None),
            HashKey::Cookie { name, path, ttl } => (1, Some(name), path.as_ref(), *ttl),
            HashKey::SourceIp => (2, None, None, None),
            HashKey::QueryParameter(name) => (3, Some(name), None, None),
        };
        Ok(HashKeyRecord {
            kind: U32::new(kind),
            name: self.strings.optional(name.map(SmolStr::as_str))?,
            path: self.strings.optional(path.map(SmolStr::as_str))?,
            ttl: time(ttl),
        })
    }

    fn redirect(&mut self, redirect: &Redirect) -> Result<U32, EmitError> {
        let record = RedirectRecord {
            status: U32::new(redirect.status.into()),
            scheme: self.strings.optional(redirect.scheme.as_deref())?,
            authority: self.strings.optional(redirect.authority.as_deref())?,
            port: redirect.port.map_or(none(), U32::new),
            path: self.strings.optional(redirect.path.as_deref())?,
            prefix: self.strings.optional(redirect.prefix.as_deref())?,
        };
        self.redirects.one(record)
    }

    fn respond(&mut self, respond: &Respond) -> Result<U32, EmitError> {
        let record = RespondRecord { status: U32::new(respond.status.into()), body: self.bytes.list(&respond.body)? };
        self.responds.one(record)
    }
}
