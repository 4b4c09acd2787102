//! The routing recordings: meshes with requests, and what the real Istio and the real Envoy answered.

pub(crate) mod compare;

use flate2::read::GzDecoder;
use malha_mesh::program::{Program, Role};
use malha_mesh::{Cache, Mesh, MeshConfig, ProxySpec};
use malha_model::Spanned;
use malha_syntax::{Location, Source, Sources, Span};
use malha_table::Request;
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

/// One mesh with its requests.
pub(crate) struct Case {
    /// As `gateway/0001`.
    pub(crate) id: String,
    /// The input, without the objects that Istio's validation refused.
    pub(crate) text: String,
    /// Who executes: the recording's `proxies`.
    pub(crate) proxies: Vec<Value>,
    /// By proxy, the clusters that Istio made.
    pub(crate) clusters: Value,
    mesh_config: Value,
    /// The requests with what is expected, by line in the recording.
    pub(crate) asked: Vec<Asked>,
}

/// One request and its recorded answer.
pub(crate) struct Asked {
    /// Line in the recording, from 1.
    pub(crate) line: usize,
    /// As recorded.
    pub(crate) request: Value,
    /// As recorded.
    pub(crate) expect: Value,
}

impl Asked {
    /// `http`, `tls` or `tcp`.
    pub(crate) fn protocol(&self) -> &str {
        self.request["protocol"].as_str().unwrap_or("http")
    }

    /// The draws that may have led to the answer.
    ///
    /// The recording tells a destination by the cluster that was reached or missed: of several with one host and port
    /// it names the first, and of several that are missing none.
    pub(crate) fn possible_draws(&self) -> Vec<Option<u32>> {
        let destinations = self.expect["destinations"].as_array().map(Vec::as_slice).unwrap_or_default();
        if destinations.len() < 2 {
            return vec![None];
        }
        let seen = self.expect["observed"].as_u64().and_then(|index| destinations.get(index as usize));
        let may_be = |one: &Value| seen.is_none_or(|seen| one["host"] == seen["host"] && one["port"] == seen["port"]);
        let draws = destinations.iter().zip(0..).filter(|(one, _)| may_be(one));
        draws.map(|(_, index)| Some(index)).collect()
    }
}

/// Calls `each` for every case of the archive.
pub(crate) fn each_case(mut each: impl FnMut(Case)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/routing.jsonl.gz");
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let line = line.expect("the archive is gzip of lines");
        each(read_case(&serde_json::from_str(&line).expect("each line is JSON")));
    }
}

fn read_case(recorded: &Value) -> Case {
    // About bytes and time, not about the decision.
    const SKIPPED: [&str; 4] = ["hang", "timeout", "upstream-failure", "error"];
    let asked = recorded["requests"].as_array().into_iter().flatten().enumerate().map(|(index, asked)| Asked {
        line: index + 1,
        request: asked["request"].clone(),
        expect: asked["expect"].clone(),
    });
    let asked = asked.filter(|asked| {
        let outcome = asked.expect["outcome"].as_str().unwrap_or_default();
        !SKIPPED.contains(&outcome) && asked.request["version"].is_null()
    });
    Case {
        id: recorded["id"].as_str().expect("a case has an id").to_owned(),
        text: accepted(recorded),
        proxies: recorded["proxies"]["proxies"].as_array().cloned().unwrap_or_default(),
        clusters: recorded["clusters"].clone(),
        mesh_config: recorded["proxies"]["meshConfig"].clone(),
        asked: asked.collect(),
    }
}

/// The input without the objects that Istio's validation refused.
fn accepted(recorded: &Value) -> String {
    let text = recorded["case"].as_str().expect("a case has an input");
    let mut verdicts = recorded["validation"].as_array().into_iter().flatten();
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" {
            documents.push(String::new());
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
    }
    documents.retain(|document| {
        let is_istio = document.lines().any(|line| line.starts_with("apiVersion: networking.istio.io/"));
        !is_istio || verdicts.next().expect("a verdict for every object")["accepted"] == json!(true)
    });
    documents.join("---\n")
}

/// A case, read, linked and lowered.
pub(crate) struct Lowered {
    pub(crate) program: Program,
    sources: Sources,
}

impl Lowered {
    /// Path and line of a place.
    pub(crate) fn place(&self, location: Location) -> (String, u32) {
        let name = self.sources.get(location.source).map(|source| source.name.clone());
        (name.unwrap_or_default(), self.sources.line_column(location).line)
    }
}

impl Case {
    /// Reads and links the mesh.
    pub(crate) fn link(&self) -> (Mesh, Sources) {
        let mut sources = Sources::default();
        let source = sources.add(Source::new("case.yaml", self.text.as_str()));
        let reading = malha_syntax::read(source, &self.text);
        let mut resources = malha_model::read_documents(&reading.documents).resources;
        // The objects of the recordings were all made then, unless they say otherwise.
        let then = || Spanned::new(SmolStr::new("2024-01-01T00:00:00Z"), Span::default(), Span::default());
        for resource in &mut resources {
            resource.metadata.creation_timestamp.get_or_insert_with(then);
        }
        let config = MeshConfig::from_json(&self.mesh_config);
        (Mesh::link(resources.into_iter().map(Arc::new).collect(), config), sources)
    }

    /// The proxies of the recording.
    pub(crate) fn wanted(&self) -> Vec<ProxySpec> {
        self.proxies.iter().map(spec).collect()
    }

    /// Links the mesh and lowers it for the proxies of the recording.
    pub(crate) fn lower(&self) -> Lowered {
        let (mesh, sources) = self.link();
        Lowered { program: malha_mesh::lower(&mesh, &self.wanted(), &mut Cache::default()), sources }
    }

    /// The request in the form of the contract, without a draw.
    pub(crate) fn request(&self, asked: &Asked) -> Request {
        const KEPT: [&str; 8] = ["port", "protocol", "method", "scheme", "authority", "path", "headers", "tls"];
        let recorded = &asked.request;
        let mut request = Map::new();
        for key in KEPT {
            if !recorded[key].is_null() {
                request.insert(key.to_owned(), recorded[key].clone());
            }
        }
        let proxy = self.proxies.iter().find(|proxy| proxy["name"] == recorded["proxy"]).expect("a known proxy");
        request.insert("proxy".to_owned(), json!({"namespace": proxy["namespace"], "labels": proxy["labels"]}));
        let via = if proxy["type"] == json!("sidecar") { "mesh" } else { "gateway" };
        request.insert("via".to_owned(), json!(via));
        if let Some(address) = recorded["dest"].as_str() {
            request.insert("destination".to_owned(), json!({"ip": address}));
        }
        serde_json::from_value(Value::Object(request)).expect("a request of the contract")
    }
}

fn spec(proxy: &Value) -> ProxySpec {
    let text = |value: &Value| value.as_str().unwrap_or_default().into();
    let labels = proxy["labels"].as_object().into_iter().flatten();
    ProxySpec {
        role: if proxy["type"] == json!("sidecar") { Role::Sidecar } else { Role::Gateway },
        namespace: text(&proxy["namespace"]),
        name: text(&proxy["name"]),
        labels: labels.map(|(name, value)| (name.as_str().into(), text(value))).collect(),
    }
}
