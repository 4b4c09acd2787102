//! What links together depends on the objects alone, not on the order in which they come.

#[allow(dead_code, reason = "nothing is asked here")]
mod recordings;

use malha_mesh::{Mesh, MeshConfig, ProxySpec};
use malha_model::Resource;
use malha_syntax::SourceId;
use proptest::{prelude::*, sample::subsequence};
use recordings::each_case;
use std::sync::{Arc, LazyLock};

/// The objects of the recordings' first meshes, each mesh a source of its own. Many of them have one name.
static OBJECTS: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    let mut objects = Vec::new();
    let mut source = SourceId(0);
    each_case(|case| {
        if source.0 < 120 {
            let reading = malha_syntax::read(source, &case.text);
            objects.extend(malha_model::read_documents(&reading.documents).resources.into_iter().map(Arc::new));
        }
        source.0 += 1;
    });
    objects
});

/// Everything that linking decides, told in full.
fn told(mesh: &Mesh) -> String {
    let sidecar = ProxySpec::default_sidecar();
    let mut lines = Vec::new();
    for proxy in mesh.proxies().iter().chain([&sidecar]) {
        lines.push(format!("{proxy:?}"));
        lines.extend(mesh.gateways_of(proxy).map(|gateway| gateway.name.to_string()));
        for key in mesh.cluster_keys(proxy) {
            lines.push(format!("{:?}", mesh.cluster(proxy, &key.host, key.port, key.subset.as_deref())));
        }
    }
    for rules in mesh.virtual_services() {
        lines.push(format!("{} {:?} {:?} {:?}", rules.name, rules.hosts, rules.gateways, rules.delegations));
        lines.extend(rules.http_rules().map(|rule| format!("{rule:?}")));
    }
    lines.extend(mesh.duplicates().iter().map(|duplicate| format!("{:?}", duplicate.kept.span)));
    lines.extend((0..mesh.resources().len()).map(|index| format!("{:?}", mesh.graph().reached_from(index))));
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_objects_changes_nothing(
        (written, shuffled) in subsequence(OBJECTS.as_slice(), 0..80)
            .prop_flat_map(|chosen| (Just(chosen.clone()), Just(chosen).prop_shuffle()))
    ) {
        let link = |objects| Mesh::link(objects, MeshConfig::default());
        prop_assert_eq!(told(&link(written)), told(&link(shuffled)));
    }
}
