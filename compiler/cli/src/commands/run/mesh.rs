//! Serving a mesh from its files.

use super::{
    Built, Outcome, credentials,
    gateways::Gateways,
    identities::{self, Identities},
    listening::Listening,
    local::{Localizer, workload_identity},
    sidecars, strangers, unplaced,
};
use crate::{
    args::RunArgs,
    config::{LocalEndpoint, RunSection},
    failure::Failure,
    house,
    inputs::{Inputs, MeshInput},
    mock::{Counts, LocalAuthority, Log, StandIns, Wanted},
    report::{self, check_report},
    selection::Selection,
    watch::Change,
    workspace::{Work, Workspace},
};
use malha_mesh::{Mesh, MeshConfig, ObjectName, ProxySpec, program::Role, registry::Workload};
use malha_proxy::{CredentialSource, Credentials, ListenerAddress, Neighbours, certificate_problems, upstream_needs};
use malha_syntax::{Finding, RuleInfo, Sources};
use malha_table::{ProxyIdentity, Table};
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

/// The variable that names whom a stand-in calls.
const CALLS: &str = "SPLIT_CALL_URL_LST";

/// A mesh, and what stands for its workloads.
pub(super) struct MeshSource {
    inputs: Inputs,
    workspace: Workspace,
    /// The settings that the last table was made with.
    config: Option<MeshConfig>,
    endpoints: Vec<LocalEndpoint>,
    /// Where the command line says that certificates and keys are.
    source: CredentialSource,
    stand_ins: Option<StandIns>,
    /// Where Services are that a sidecar does not know.
    neighbours: Neighbours,
    /// Signs the certificates that are missing, once one is.
    authority: Option<Arc<LocalAuthority>>,
    /// What it has given proxies to know each other by.
    identities: Identities,
    /// The last table, its Secrets, and what these, files and the command line's directories hold together.
    last: Option<(Arc<Table>, Credentials, Credentials)>,
    callers: Vec<Caller>,
    /// The client that the command line names.
    client: Option<ProxySpec>,
    /// None: local endpoints are taken to be there.
    listening: Option<Listening>,
    /// Whether the table that is served lacks what a cluster would refuse.
    is_partial: bool,
}

/// A stand-in that calls others, and the sidecar that it calls through.
struct Caller {
    proxy: ProxySpec,
    wanted: Wanted,
}

impl MeshSource {
    pub(super) fn open(args: &RunArgs, inputs: Inputs) -> Result<MeshSource, Failure> {
        let workspace = Workspace::open(inputs.mesh_alone()?)?;
        let endpoints = args.endpoints.clone();
        let client = args.client.as_ref().map(|client| named_client(client, &workspace.input().config.run));
        Ok(MeshSource {
            inputs,
            workspace,
            config: None,
            endpoints,
            source: credentials::source(args),
            stand_ins: None,
            neighbours: Neighbours::default(),
            authority: None,
            identities: Identities::default(),
            last: None,
            callers: Vec::new(),
            client,
            listening: None,
            is_partial: false,
        })
    }

    /// Watches local endpoints from now on.
    pub(super) fn watch_processes(
        &mut self,
        changed: impl FnMut(SocketAddr, bool) + Send + 'static,
    ) -> Result<(), Failure> {
        let listening = Listening::new(changed)
            .map_err(|error| Failure::new(format!("local endpoints cannot be watched: {error}")))?;
        self.listening = Some(listening);
        Ok(())
    }

    /// Gives workloads without an address on this machine stand-ins from now on.
    pub(super) fn mock(&mut self, counts: Counts, log: Log) -> Result<(), Failure> {
        self.stand_ins = Some(StandIns::start(counts, log)?);
        Ok(())
    }

    pub(super) fn input(&self) -> &MeshInput {
        self.workspace.input()
    }

    /// The settings that the last table was made with.
    pub(super) fn config(&self) -> Option<&MeshConfig> {
        self.config.as_ref()
    }

    pub(super) fn watched(&self) -> BTreeMap<PathBuf, bool> {
        let mut watched = self.inputs.watched(self.workspace.input());
        if let Some((table, ..)) = &self.last {
            // A file is replaced in its directory.
            for file in Credentials::files(table, &self.workspace.input().root) {
                if let Some(directory) = file.parent().filter(|directory| directory.is_dir()) {
                    watched.entry(directory.to_owned()).or_insert(false);
                }
            }
        }
        watched.extend(self.source.directories().map(|directory| (directory.to_owned(), true)));
        watched
    }

    /// Where Services are that a sidecar does not know, now and after each change.
    pub(super) fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// The file of the local authority's certificate, where it has signed what clients see.
    pub(super) fn trusted(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(|authority| authority.certificate_file())
    }

    pub(super) fn stand_ins(&self) -> Option<&StandIns> {
        self.stand_ins.as_ref()
    }

    /// The first table: it serves what the cluster would not refuse.
    pub(super) fn start(&mut self) -> Result<Built, Failure> {
        match self.build(0, true)? {
            Outcome::Built(built) => Ok(*built),
            Outcome::Same | Outcome::Refused { .. } => Err(Failure::new("there is nothing to serve")),
        }
    }

    /// The table after a change; `whole` builds it though nothing seems to have changed.
    pub(super) fn rebuild(&mut self, change: &Change, whole: bool) -> Result<Outcome, Failure> {
        let input = self.inputs.mesh_alone()?;
        let is_other = input != *self.workspace.input();
        let files_read = self.workspace.update(input, change)?;
        let same_settings = self.config.as_ref() == Some(&self.workspace.config()?);
        if files_read == 0 && !is_other && same_settings && !self.has_other_files() && !whole {
            return Ok(Outcome::Same);
        }
        // Where only processes or certificates are others, the mesh is as good as it was.
        self.build(files_read, self.is_partial && files_read == 0 && !is_other && same_settings)
    }

    /// Whether a certificate's file is not what it was.
    fn has_other_files(&self) -> bool {
        self.last.as_ref().is_some_and(|(table, secrets, before)| {
            let mut now = secrets.clone();
            now.read_files(table, &self.workspace.input().root);
            // What cannot be read now is told when the table is made.
            self.source.read_into(&mut now).is_err() || now != *before
        })
    }

    fn build(&mut self, files_read: usize, partly: bool) -> Result<Outcome, Failure> {
        let config = self.workspace.config()?;
        let selection = Selection::new(&self.workspace.input().config.lint, &[], &[])?;
        let mesh = self.workspace.link_with(config.clone());
        let mut proxies = self.workspace.proxies(&mesh);
        let callers = if self.stand_ins.is_some() { callers(&mesh) } else { Vec::new() };
        proxies.extend(callers.iter().map(|caller| caller.proxy.clone()));
        proxies.extend(self.client.clone());
        let (program, virtual_hosts_lowered) = self.workspace.lower(&mesh, &proxies);
        let findings = self.workspace.findings(&mesh, &program, &selection);
        let refusals: Vec<Finding> = self.workspace.refusals(&findings).into_iter().cloned().collect();
        let idle: Vec<&RuleInfo> = house::RULES.iter().map(|rule| rule.info).collect();
        let told = self.workspace.report(findings, &selection, &idle).findings;
        let mut summary = self.workspace.summary();
        summary.count(&told);
        let sources = self.workspace.files().sources();
        let pairs: Vec<(&Finding, &Sources)> = told.iter().map(|finding| (finding, sources)).collect();
        let document = serde_json::to_value(check_report(&summary, &pairs)).unwrap_or(Value::Null);
        let refused: Vec<(&Finding, &Sources)> = refusals.iter().map(|finding| (finding, sources)).collect();
        let refused: Vec<String> = report::concise(&refused).lines().map(str::to_owned).collect();
        self.config = Some(config);
        if !refused.is_empty() && !partly {
            return Ok(Outcome::Refused { why: refused, findings: document });
        }

        let mut local = self.endpoints.clone();
        local.extend(self.workspace.input().config.run.endpoints.iter().cloned());
        let has_none = local.is_empty();
        let mut notes = Vec::new();
        let mut troubles = strangers::take_out(&mesh, &mut local);
        let addresses = local.iter().map(|local| local.address);
        let there = self.listening.as_ref().map(|listening| listening.watch(addresses)).unwrap_or_default();
        let is_absent = |local: &LocalEndpoint| there.get(&local.address) == Some(&false);
        // Later it is told when they come and go.
        if self.last.is_none() {
            let absent = local.iter().filter(|local| is_absent(local));
            notes.extend(absent.map(|local| absent_note(local, self.stand_ins.is_some())));
        }
        // A stand-in answers until the process is there.
        if self.stand_ins.is_some() {
            local.retain(|local| !is_absent(local));
        }
        let mut localizer = Localizer { mesh: &mesh, local: &local, stand_ins: self.stand_ins.as_mut() };
        let skipped = summary.skipped.iter().map(|skipped| format!("{} is left out: {}", skipped.file, skipped.reason));
        let not_applied = self.config.iter().flat_map(|config| &config.not_applied);
        let not_applied = not_applied.map(|sentence| format!("of the MeshConfig, {sentence}"));
        troubles.extend(skipped);
        notes.extend(not_applied.chain(sidecars::notes(&mesh, &proxies)));
        let gateways = Gateways::of(&program);
        self.neighbours.set(localizer.neighbours(&gateways)?);
        let program = localizer.localize(&program, &gateways)?;
        troubles.extend(summary.nothing());
        // Whoever names endpoints knows of them.
        if has_none && self.stand_ins.is_none() {
            notes.extend(unplaced::note(&mesh, &program));
        }
        let table = Table::load(self.workspace.table(&program)?).map_err(|error| Failure::new(error.to_string()))?;
        let table = Arc::new(table);
        let secrets = credentials::secrets(&mesh);
        let mut credentials = secrets.clone();
        credentials.read_files(&table, &self.workspace.input().root);
        self.source.read_into(&mut credentials).map_err(|error| credentials::unreadable(&error))?;
        self.last = Some((Arc::clone(&table), secrets, credentials.clone()));
        if self.stand_ins.is_some() && self.source.identity.is_none() {
            let (authority, known) = (&mut self.authority, &mut self.identities);
            // Without them the rest of the mesh is served all the same.
            match identities::stand_in(&mesh, &table, &mut credentials, authority, known) {
                Ok(told) => notes.extend(told),
                Err(failure) => {
                    troubles.push(format!(
                        "sidecars and gateways do not speak the mesh's own TLS (ISTIO_MUTUAL): {failure}"
                    ));
                }
            }
        }
        let lacking = certificate_problems(&table, &credentials);
        let needs = upstream_needs(&table, &credentials);
        if let Some(stand_ins) = &self.stand_ins {
            let mut speak_tls =
                || credentials::let_stand_ins_speak_tls(&needs, stand_ins, &mut credentials, &mut self.authority);
            if !needs.is_empty() {
                speak_tls()?;
            }
            // Without it the rest of the mesh is served all the same.
            if credentials::passes_tls_on(&table) {
                match speak_tls() {
                    Ok(authority) => {
                        notes.push(format!("stand-ins end TLS by the local authority {}", authority.display()));
                    }
                    Err(failure) => troubles.push(format!("stand-ins do not end TLS: {failure}")),
                }
            }
            notes.extend(credentials::stand_in(&table, &mut credentials, &mut self.authority)?);
        } else {
            troubles.extend(lacking.iter().map(credentials::remedy));
        }
        self.callers = callers;
        self.is_partial = !refused.is_empty();
        let authority =
            self.authority.as_ref().filter(|_| !lacking.is_empty()).map(|authority| authority.certificate_file());
        Ok(Outcome::Built(Box::new(Built {
            table,
            credentials,
            authority,
            left_out: refused,
            findings: document,
            summary,
            notes,
            troubles,
            work: Work { files_read, virtual_hosts_lowered },
        })))
    }

    /// Lets the stand-ins know where their sidecars listen.
    pub(super) fn connect(&self, listeners: &[ListenerAddress]) {
        let Some(stand_ins) = &self.stand_ins else { return };
        for caller in &self.callers {
            let listener = listeners.iter().find(|listener| caller.is_served_by(listener));
            stand_ins.call_through(&caller.wanted, listener.map(|listener| listener.address));
        }
    }

    /// Whether a listener is the sidecar of the client that the command line names, else the default one.
    pub(super) fn is_for_client(&self, listener: &ListenerAddress) -> bool {
        let default = ProxySpec::default_sidecar();
        is_of(listener, self.client.as_ref().unwrap_or(&default))
    }

    /// Whether a listener is the sidecar of a stand-in, and of nobody else.
    pub(super) fn is_for_stand_in(&self, listener: &ListenerAddress) -> bool {
        self.callers.iter().any(|caller| caller.is_served_by(listener))
    }
}

impl Caller {
    fn is_served_by(&self, listener: &ListenerAddress) -> bool {
        is_of(listener, &self.proxy)
    }
}

/// What it means that nobody listens at a local endpoint yet.
fn absent_note(LocalEndpoint { service, port, address, .. }: &LocalEndpoint, has_stand_ins: bool) -> String {
    let meanwhile = if has_stand_ins { "a stand-in answers" } else { "requests to it fail" };
    format!("nobody listens on {address} yet, for {service}:{port}: until somebody does, {meanwhile}")
}

/// Whether a listener is that of a sidecar.
fn is_of(listener: &ListenerAddress, proxy: &ProxySpec) -> bool {
    let name = listener.proxy.strip_prefix(proxy.namespace.as_str()).and_then(|it| it.strip_prefix('/'));
    listener.role == "mesh" && !listener.is_forward && name == Some(&proxy.name)
}

/// The client that the command line names, under a name that no other sidecar has.
fn named_client(client: &ProxyIdentity, section: &RunSection) -> ProxySpec {
    let mut name = "as".to_owned();
    while section.sidecars.iter().any(|sidecar| sidecar.name == name) {
        name.push('-');
    }
    ProxySpec {
        role: Role::Sidecar,
        namespace: client.namespace.as_str().into(),
        name: name.into(),
        labels: client.labels.iter().map(|(name, value)| (name.into(), value.into())).collect(),
    }
}

/// The workloads that call others, each with a sidecar of its own.
fn callers(mesh: &Mesh) -> Vec<Caller> {
    mesh.registry().workloads().iter().filter_map(caller).collect()
}

fn caller(workload: &Workload) -> Option<Caller> {
    let variables = workload.containers().iter().flat_map(|container| &container.env);
    let list = variables
        .filter(|variable| variable.name.as_ref().is_some_and(|name| name.value == CALLS))
        .find_map(|variable| variable.value.value.as_ref())?;
    let urls: Vec<_> = list.value.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
    if urls.is_empty() {
        return None;
    }
    let ObjectName { namespace, name } = &workload.name;
    let proxy = ProxySpec {
        role: Role::Sidecar,
        namespace: namespace.clone(),
        name: name.clone(),
        labels: workload.labels.clone(),
    };
    let identity = workload_identity(namespace, name, &workload.labels);
    Some(Caller { proxy, wanted: Wanted { identity, calls: urls } })
}
