//! The parts of Kubernetes' own kinds that routing depends on. Other fields are read past.

mod endpoints;
mod secret_source;
mod service;
mod workload;

pub use endpoints::{
    EndpointAddress, EndpointConditions, EndpointPort, EndpointSlice, EndpointSliceEndpoint, EndpointSubset, Endpoints,
    ObjectReference,
};
pub use secret_source::{SecretMetadata, SecretSource, SecretTarget, SecretTemplate};
pub use service::{Confidential, IntOrString, Namespace, Secret, Service, ServicePort};
pub use workload::{
    Container, ContainerPort, CronJob, EnvVar, JobTemplate, LabelSelector, Pod, PodCondition, PodIp, PodSpec,
    PodStatus, PodTemplate, PodTemplateMetadata, Workload,
};
