//! A resource: one object with its name, its metadata and its content.

use crate::{Entries, Spanned, istio, kubernetes, read::message};
use malha_syntax::{Location, ResourceName, SourceId, Span};
use serde::{Serialize, Serializer, ser::SerializeMap};
use smol_str::SmolStr;
use std::fmt;

/// The kinds that Malha reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Kind {
    /// `networking.istio.io` Gateway.
    Gateway,
    /// `networking.istio.io` VirtualService.
    VirtualService,
    /// `networking.istio.io` DestinationRule.
    DestinationRule,
    /// `networking.istio.io` ServiceEntry.
    ServiceEntry,
    /// `networking.istio.io` WorkloadEntry.
    WorkloadEntry,
    /// `networking.istio.io` Sidecar.
    Sidecar,
    /// `security.istio.io` PeerAuthentication.
    PeerAuthentication,
    /// `security.istio.io` RequestAuthentication.
    RequestAuthentication,
    /// Service.
    Service,
    /// Endpoints.
    Endpoints,
    /// `discovery.k8s.io` EndpointSlice.
    EndpointSlice,
    /// Pod.
    Pod,
    /// `apps` Deployment.
    Deployment,
    /// `apps` StatefulSet.
    StatefulSet,
    /// `apps` DaemonSet.
    DaemonSet,
    /// `apps` ReplicaSet.
    ReplicaSet,
    /// `batch` Job.
    Job,
    /// `batch` CronJob.
    CronJob,
    /// ReplicationController.
    ReplicationController,
    /// `apps.openshift.io` DeploymentConfig.
    DeploymentConfig,
    /// `argoproj.io` Rollout.
    Rollout,
    /// `apps.kruise.io` CloneSet.
    CloneSet,
    /// Namespace.
    Namespace,
    /// Secret.
    Secret,
    /// `cert-manager.io` Certificate.
    Certificate,
    /// `bitnami.com` SealedSecret.
    SealedSecret,
    /// `external-secrets.io` ExternalSecret.
    ExternalSecret,
}

impl Kind {
    /// As the `kind` field has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gateway => "Gateway",
            Kind::VirtualService => "VirtualService",
            Kind::DestinationRule => "DestinationRule",
            Kind::ServiceEntry => "ServiceEntry",
            Kind::WorkloadEntry => "WorkloadEntry",
            Kind::Sidecar => "Sidecar",
            Kind::PeerAuthentication => "PeerAuthentication",
            Kind::RequestAuthentication => "RequestAuthentication",
            Kind::Service => "Service",
            Kind::Endpoints => "Endpoints",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::Pod => "Pod",
            Kind::Deployment => "Deployment",
            Kind::StatefulSet => "StatefulSet",
            Kind::DaemonSet => "DaemonSet",
            Kind::ReplicaSet => "ReplicaSet",
            Kind::Job => "Job",
            Kind::CronJob => "CronJob",
            Kind::ReplicationController => "ReplicationController",
            Kind::DeploymentConfig => "DeploymentConfig",
            Kind::Rollout => "Rollout",
            Kind::CloneSet => "CloneSet",
            Kind::Namespace => "Namespace",
            Kind::Secret => "Secret",
            Kind::Certificate => "Certificate",
            Kind::SealedSecret => "SealedSecret",
            Kind::ExternalSecret => "ExternalSecret",
        }
    }

    /// Whether it is one of Istio's kinds for traffic, of which every field is known.
    pub fn is_istio(self) -> bool {
        matches!(
            self,
            Kind::Gateway
                | Kind::VirtualService
                | Kind::DestinationRule
                | Kind::ServiceEntry
                | Kind::WorkloadEntry
                | Kind::Sidecar
        )
    }
}

impl Kind {
    /// The kind `kind` of the API group `group` (empty for the core).
    pub fn find(group: &str, kind: &str) -> Option<Kind> {
        Some(match (group, kind) {
            (ISTIO_GROUP, "Gateway") => Kind::Gateway,
            (ISTIO_GROUP, "VirtualService") => Kind::VirtualService,
            (ISTIO_GROUP, "DestinationRule") => Kind::DestinationRule,
            (ISTIO_GROUP, "ServiceEntry") => Kind::ServiceEntry,
            (ISTIO_GROUP, "WorkloadEntry") => Kind::WorkloadEntry,
            (ISTIO_GROUP, "Sidecar") => Kind::Sidecar,
            (SECURITY_GROUP, "PeerAuthentication") => Kind::PeerAuthentication,
            (SECURITY_GROUP, "RequestAuthentication") => Kind::RequestAuthentication,
            ("", "Service") => Kind::Service,
            ("", "Endpoints") => Kind::Endpoints,
            ("discovery.k8s.io", "EndpointSlice") => Kind::EndpointSlice,
            ("", "Pod") => Kind::Pod,
            ("apps", "Deployment") => Kind::Deployment,
            ("apps", "StatefulSet") => Kind::StatefulSet,
            ("apps", "DaemonSet") => Kind::DaemonSet,
            ("apps", "ReplicaSet") => Kind::ReplicaSet,
            ("batch", "Job") => Kind::Job,
            ("batch", "CronJob") => Kind::CronJob,
            ("", "ReplicationController") => Kind::ReplicationController,
            ("apps.openshift.io", "DeploymentConfig") => Kind::DeploymentConfig,
            ("argoproj.io", "Rollout") => Kind::Rollout,
            ("apps.kruise.io", "CloneSet") => Kind::CloneSet,
            ("", "Namespace") => Kind::Namespace,
            ("", "Secret") => Kind::Secret,
            ("cert-manager.io", "Certificate") => Kind::Certificate,
            ("bitnami.com", "SealedSecret") => Kind::SealedSecret,
            ("external-secrets.io", "ExternalSecret") => Kind::ExternalSecret,
            _ => return None,
        })
    }
}

/// The API group of Istio's networking kinds.
pub(crate) const ISTIO_GROUP: &str = "networking.istio.io";

/// That of the kinds that say who may speak to whom.
const SECURITY_GROUP: &str = "security.istio.io";

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a resource says, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// Of a Gateway.
    Gateway(Box<istio::Gateway>),
    /// Of a VirtualService.
    VirtualService(Box<istio::VirtualService>),
    /// Of a DestinationRule.
    DestinationRule(Box<istio::DestinationRule>),
    /// Of a ServiceEntry.
    ServiceEntry(Box<istio::ServiceEntry>),
    /// Of a WorkloadEntry.
    WorkloadEntry(Box<istio::WorkloadEntry>),
    /// Of a Sidecar.
    Sidecar(Box<istio::Sidecar>),
    /// Of a PeerAuthentication.
    PeerAuthentication(Box<istio::PeerAuthentication>),
    /// Of a RequestAuthentication.
    RequestAuthentication(Box<istio::RequestAuthentication>),
    /// Of a Service.
    Service(Box<kubernetes::Service>),
    /// Of an Endpoints object.
    Endpoints(Box<kubernetes::Endpoints>),
    /// Of an EndpointSlice.
    EndpointSlice(Box<kubernetes::EndpointSlice>),
    /// Of a Pod.
    Pod(Box<kubernetes::Pod>),
    /// Of what makes Pods by a template at `spec.template`: a Deployment, a StatefulSet, a Rollout, ...
    Workload(Box<kubernetes::Workload>),
    /// Of a CronJob.
    CronJob(Box<kubernetes::CronJob>),
    /// A Namespace.
    Namespace(Box<kubernetes::Namespace>),
    /// Of a Secret, without its values.
    Secret(Box<kubernetes::Secret>),
    /// Of what another program makes a Secret of: a Certificate, a SealedSecret or an ExternalSecret.
    SecretSource(Box<kubernetes::SecretSource>),
}

impl Serialize for Spec {
    /// As the object has it: below `spec` where the kind has one, else beside `metadata`. So this is a map of those
    /// fields of the object that are not `apiVersion`, `kind` and `metadata`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn below_spec<S: Serializer, T: Serialize>(serializer: S, spec: &T) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry("spec", spec)?;
            map.end()
        }
        match self {
            Spec::Gateway(spec) => below_spec(serializer, spec),
            Spec::VirtualService(spec) => below_spec(serializer, spec),
            Spec::DestinationRule(spec) => below_spec(serializer, spec),
            Spec::ServiceEntry(spec) => below_spec(serializer, spec),
            Spec::WorkloadEntry(spec) => below_spec(serializer, spec),
            Spec::Sidecar(spec) => below_spec(serializer, spec),
            Spec::PeerAuthentication(spec) => below_spec(serializer, spec),
            Spec::RequestAuthentication(spec) => below_spec(serializer, spec),
            Spec::Service(spec) => below_spec(serializer, spec),
            Spec::Workload(spec) => below_spec(serializer, spec),
            Spec::CronJob(spec) => below_spec(serializer, spec),
            Spec::SecretSource(spec) => below_spec(serializer, spec),
            Spec::Endpoints(object) => object.serialize(serializer),
            Spec::EndpointSlice(object) => object.serialize(serializer),
            Spec::Pod(object) => object.serialize(serializer),
            Spec::Namespace(object) => object.serialize(serializer),
            Spec::Secret(object) => object.serialize(serializer),
        }
    }
}

message! {
    /// What an object says of itself, whatever its kind.
    pub struct Metadata {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
        /// The start of a name that the cluster completes.
        generate_name: Option<Spanned<SmolStr>> = "generateName",
        /// Its namespace, where it is written.
        namespace: Option<Spanned<SmolStr>> = "namespace",
        /// Its labels.
        labels: Entries<SmolStr> = "labels",
        /// Its annotations.
        annotations: Entries<SmolStr> = "annotations",
        /// When it was made (RFC 3339), in a dump of a cluster.
        creation_timestamp: Option<Spanned<SmolStr>> = "creationTimestamp",
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// As written, as `networking.istio.io/v1`.
    pub api_version: SmolStr,
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, `default` where none is written. Empty for a Namespace.
    #[serde(skip)]
    pub namespace: SmolStr,
    /// Its name.
    #[serde(skip)]
    pub name: SmolStr,
    /// What it says of itself.
    pub metadata: Metadata,
    /// What it says.
    #[serde(flatten)]
    pub spec: Spec,
    /// The source that it stands in.
    #[serde(skip)]
    pub source: SourceId,
    /// The bytes of the object.
    #[serde(skip)]
    pub span: Span,
    /// Whether the cluster would refuse it: it has findings of group `admission`. It then takes no part in routing, as
    /// in Istio.
    #[serde(skip)]
    pub refused: bool,
    /// A hash of the object's content, whatever its place in the source.
    #[serde(skip)]
    pub content_hash: u64,
}

impl Resource {
    /// Its kind, namespace and name, as findings have them.
    pub fn resource_name(&self) -> ResourceName {
        ResourceName {
            kind: self.kind.name().to_owned(),
            namespace: self.namespace.to_string(),
            name: self.name.to_string(),
        }
    }

    /// The place of `span` in this resource's source.
    pub fn location(&self, span: Span) -> Location {
        Location { source: self.source, span }
    }
}
