//! The command line of `malha import`.

use clap::Args;
use std::path::PathBuf;

/// `malha import`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    kubectl get gateway,virtualservice,destinationrule,serviceentry,workloadentry,sidecar,service,deployment -A -o yaml |\n    \
      malha import - -o mesh\n  \
    kubectl get configmap istio -n istio-system -o yaml > istio.yaml && malha import istio.yaml -o mesh\n  \
    malha check mesh && malha run --mock mesh\n\n\
    Each object becomes a file, NAMESPACE/KIND-NAME.yaml, without what the cluster has added: status, managed fields,\n\
    versions, owners. What other objects of the dump have made (Pods and ReplicaSets of a Deployment, EndpointSlices of\n\
    a Service) and kinds that Malha does not read are left out and counted. ConfigMap istio-system/istio becomes the\n\
    mesh's settings, in a malha.toml if there is none.")]
pub struct ImportArgs {
    /// What kubectl printed, in YAML or JSON; `-` is the standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The directory of the tree, which is made if need be; one of its own, for all of it is one mesh
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Write Secrets, too, readable by you alone: certificates and keys of gateways
    #[arg(long)]
    pub secrets: bool,
    /// Replace files that are there and say something else
    #[arg(long)]
    pub force: bool,
}
