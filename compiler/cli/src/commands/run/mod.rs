//! `malha run`: serves a mesh on this machine and follows every save.

mod command;
mod credentials;
mod example;
mod forgotten;
mod gateways;
mod identities;
mod listening;
mod local;
mod mesh;
mod neighbours;
mod options;
mod serve;
mod sidecars;
mod strangers;
mod table_file;
mod taken;
mod tell;
mod unplaced;

use crate::{
    args::RunArgs,
    config::RunSection,
    failure::{Failure, Status},
    mock::{Counts, StandIns},
    report::Summary,
    watch::Change,
    workspace::Work,
};
use malha_mesh::MeshConfig;
use malha_proxy::{Credentials, ListenerAddress, Neighbours, Revision};
use malha_table::Table;
use mesh::MeshSource;
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};
use table_file::TableSource;

/// Serves until it is asked to stop.
///
/// # Errors
/// The inputs cannot be read, or an address cannot be listened on.
pub fn run(args: &RunArgs) -> Result<Status, Failure> {
    let source = match TableSource::find(&args.paths.paths) {
        Some(_) if args.mock || !args.endpoints.is_empty() => {
            return Err(Failure::new("a table holds its endpoints: --mock and --endpoint are for a mesh's files"));
        }
        Some(_) if args.client.is_some() => {
            return Err(Failure::new("a table holds its proxies: --as is for a mesh's files"));
        }
        Some(table) => Source::Table(Box::new(table.with(credentials::source(args)))),
        None => Source::Mesh(Box::new(MeshSource::open(args, forgotten::inputs(args)?)?)),
    };
    serve::serve(args, source)
}

/// Where tables come from.
enum Source {
    Mesh(Box<MeshSource>),
    Table(Box<TableSource>),
}

/// A table to serve, and what is to be said of it.
struct Built {
    table: Arc<Table>,
    /// What its TLS needs.
    credentials: Credentials,
    /// The file of the local authority's certificate, if it signed one of them.
    authority: Option<PathBuf>,
    /// Why objects take no part, one line each.
    left_out: Vec<String>,
    /// The report of a check.
    findings: Value,
    summary: Summary,
    /// What else is worth a line.
    notes: Vec<String>,
    /// What will not be as it was meant, a line each.
    troubles: Vec<String>,
    work: Work,
}

impl Built {
    /// What the proxy serves.
    fn revision(&self) -> Revision {
        Revision { table: Arc::clone(&self.table), credentials: self.credentials.clone() }
    }
}

/// What a change came to.
enum Outcome {
    /// Nothing has changed after all.
    Same,
    /// There is another table.
    Built(Box<Built>),
    /// A cluster would refuse this, so the table stays.
    Refused {
        /// One line each.
        why: Vec<String>,
        /// The report of a check.
        findings: Value,
    },
}

impl Source {
    fn section(&self) -> RunSection {
        match self {
            Source::Mesh(mesh) => mesh.input().config.run.clone(),
            Source::Table(_) => RunSection::default(),
        }
    }

    /// The settings that the last table was made with.
    fn mesh_config(&self) -> Option<&MeshConfig> {
        match self {
            Source::Mesh(mesh) => mesh.config(),
            Source::Table(_) => None,
        }
    }

    fn neighbours(&self) -> Neighbours {
        match self {
            Source::Mesh(mesh) => mesh.neighbours().clone(),
            Source::Table(_) => Neighbours::default(),
        }
    }

    fn mock(&mut self, counts: Counts, log: crate::mock::Log) -> Result<(), Failure> {
        match self {
            Source::Mesh(mesh) => mesh.mock(counts, log),
            Source::Table(_) => Ok(()),
        }
    }

    /// The file of the certificate of a local authority that clients are to trust.
    fn trusted(&self) -> Option<PathBuf> {
        match self {
            Source::Mesh(mesh) => mesh.trusted(),
            Source::Table(_) => None,
        }
    }

    fn stand_ins(&self) -> Option<&StandIns> {
        match self {
            Source::Mesh(mesh) => mesh.stand_ins(),
            Source::Table(_) => None,
        }
    }

    fn start(&mut self) -> Result<Built, Failure> {
        match self {
            Source::Mesh(mesh) => mesh.start(),
            Source::Table(table) => table.start(),
        }
    }

    fn rebuild(&mut self, change: &Change, whole: bool) -> Result<Outcome, Failure> {
        match self {
            Source::Mesh(mesh) => mesh.rebuild(change, whole),
            Source::Table(table) => table.rebuild(whole),
        }
    }

    fn connect(&self, listeners: &[ListenerAddress]) {
        if let Source::Mesh(mesh) = self {
            mesh.connect(listeners);
        }
    }

    /// Watches the processes that stand for workloads; `changed` hears of each that comes or goes.
    fn watch_processes(&mut self, changed: impl FnMut(SocketAddr, bool) + Send + 'static) -> Result<(), Failure> {
        match self {
            Source::Mesh(mesh) => mesh.watch_processes(changed),
            Source::Table(_) => Ok(()),
        }
    }

    /// Whether a listener is the sidecar of the program that runs in the mesh.
    fn is_for_client(&self, listener: &ListenerAddress) -> bool {
        match self {
            Source::Mesh(mesh) => mesh.is_for_client(listener),
            Source::Table(_) => listener.role == "mesh" && !listener.is_forward,
        }
    }

    /// Whether a listener is the sidecar of a stand-in.
    fn is_for_stand_in(&self, listener: &ListenerAddress) -> bool {
        match self {
            Source::Mesh(mesh) => mesh.is_for_stand_in(listener),
            Source::Table(_) => false,
        }
    }

    fn watched(&self) -> BTreeMap<PathBuf, bool> {
        match self {
            Source::Mesh(mesh) => mesh.watched(),
            Source::Table(table) => table.watched(),
        }
    }
}
