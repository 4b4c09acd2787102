//! `Pod` and what makes Pods: `Deployment`, `StatefulSet`, `DaemonSet`, `ReplicaSet`, `Job`, `CronJob`.

use crate::{Entries, Spanned, read::message};
use smol_str::SmolStr;

message! {
    /// A Pod.
    pub struct Pod {
        /// What it is made of.
        spec: Option<Spanned<PodSpec>> = "spec",
        /// What became of it, in a dump of a cluster.
        status: Option<Spanned<PodStatus>> = "status",
    }
}

message! {
    /// What a Pod is made of.
    pub struct PodSpec {
        /// Its containers.
        containers: Vec<Spanned<Container>> = "containers",
        /// Its containers that run first.
        init_containers: Vec<Spanned<Container>> = "initContainers",
        /// The service account that it runs as.
        service_account_name: Option<Spanned<SmolStr>> = "serviceAccountName",
        /// The node that it runs on.
        node_name: Option<Spanned<SmolStr>> = "nodeName",
        /// Its own name on the network.
        hostname: Option<Spanned<SmolStr>> = "hostname",
        /// The headless Service that gives it a name.
        subdomain: Option<Spanned<SmolStr>> = "subdomain",
        /// Whether it shares the network of its node.
        host_network: Option<Spanned<bool>> = "hostNetwork",
    }
}

message! {
    /// A container.
    pub struct Container {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
        /// Its image.
        image: Option<Spanned<SmolStr>> = "image",
        /// Its ports.
        ports: Vec<Spanned<ContainerPort>> = "ports",
        /// Its environment.
        env: Vec<Spanned<EnvVar>> = "env",
    }
}

message! {
    /// A port of a container.
    pub struct ContainerPort {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
        /// Its number.
        container_port: Option<Spanned<i32>> = "containerPort",
        /// `TCP`, `UDP` or `SCTP`; `TCP` by default.
        protocol: Option<Spanned<SmolStr>> = "protocol",
    }
}

message! {
    /// A variable of a container's environment.
    pub struct EnvVar {
        /// Its name.
        name: Option<Spanned<SmolStr>> = "name",
        /// Its value; absent where it comes from elsewhere.
        value: Option<Spanned<SmolStr>> = "value",
    }
}

message! {
    /// What became of a Pod.
    pub struct PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        phase: Option<Spanned<SmolStr>> = "phase",
        /// Its address.
        pod_ip: Option<Spanned<SmolStr>> = "podIP",
        /// Its addresses.
        pod_ips: Vec<Spanned<PodIp>> = "podIPs",
        /// How it is.
        conditions: Vec<Spanned<PodCondition>> = "conditions",
    }
}

message! {
    /// An address of a Pod.
    pub struct PodIp {
        /// The IP address.
        ip: Option<Spanned<SmolStr>> = "ip",
    }
}

message! {
    /// One aspect of how a Pod is.
    pub struct PodCondition {
        /// Which: `Ready`, `PodScheduled`, ...
        r#type: Option<Spanned<SmolStr>> = "type",
        /// `True`, `False` or `Unknown`.
        status: Option<Spanned<SmolStr>> = "status",
    }
}

message! {
    /// What makes Pods (its `spec`).
    pub struct Workload {
        /// How many; 1 by default. Not for a DaemonSet.
        replicas: Option<Spanned<i32>> = "replicas",
        /// Which Pods count as its own.
        selector: Option<Spanned<LabelSelector>> = "selector",
        /// What its Pods look like.
        template: Option<Spanned<PodTemplate>> = "template",
        /// The headless Service that names its Pods, for a StatefulSet.
        service_name: Option<Spanned<SmolStr>> = "serviceName",
    }
}

message! {
    /// What makes Jobs from time to time. Its Pods come and go, so they are no endpoints that a mesh could count on.
    pub struct CronJob {
        /// What its Jobs look like.
        job_template: Option<Spanned<JobTemplate>> = "jobTemplate",
    }
}

message! {
    /// What Jobs look like.
    pub struct JobTemplate {
        /// The Job.
        spec: Option<Spanned<Workload>> = "spec",
    }
}

message! {
    /// A selector by labels.
    pub struct LabelSelector {
        /// All of these labels must be there.
        match_labels: Entries<SmolStr> = "matchLabels",
    }
}

message! {
    /// What Pods look like.
    pub struct PodTemplate {
        /// Their labels and annotations.
        metadata: Option<Spanned<PodTemplateMetadata>> = "metadata",
        /// What they are made of.
        spec: Option<Spanned<PodSpec>> = "spec",
    }
}

message! {
    /// Labels and annotations of Pods.
    pub struct PodTemplateMetadata {
        /// Their labels.
        labels: Entries<SmolStr> = "labels",
        /// Their annotations.
        annotations: Entries<SmolStr> = "annotations",
    }
}
