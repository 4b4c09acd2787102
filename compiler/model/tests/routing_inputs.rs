//! Reads the meshes of the routing recordings: nothing that Istio accepted may be refused.

mod common;

use common::{findings_of, read_yaml, recordings};
use malha_syntax::ResourceName;
use serde_json::Value;

#[test]
fn refuses_nothing_that_istio_accepted() {
    let (mut meshes, mut accepted, mut wrong) = (0, 0, Vec::new());
    for recording in recordings("routing.jsonl.gz") {
        meshes += 1;
        let (reading, read) = read_yaml(recording["case"].as_str().expect("a recording has a case"));
        assert!(read.others.is_empty(), "{}: {:?}", recording["id"], read.others);
        if reading.findings.is_empty() {
            // Kubernetes' own objects are all good, and so none of these findings is about them.
            let about_others = read.resources.iter().filter(|resource| !resource.kind.is_istio() && resource.refused);
            wrong.extend(about_others.map(|resource| format!("{}: {:?}", recording["id"], resource.resource_name())));
        }
        let text = |object: &Value, field| object[field].as_str().unwrap_or_default().to_owned();
        for object in recording["validation"].as_array().into_iter().flatten().filter(|it| it["accepted"] == true) {
            accepted += 1;
            let [kind, namespace, name] = ["kind", "namespace", "name"].map(|field| text(object, field));
            let name = ResourceName { kind, namespace, name };
            let resource = read.resources.iter().find(|resource| resource.resource_name() == name);
            if resource.is_none_or(|resource| resource.refused) {
                wrong.push(format!("{}: {name:?}\n{}", recording["id"], findings_of(&read)));
            }
        }
    }
    assert!(meshes > 500 && accepted > 1000, "only {meshes} meshes and {accepted} objects");
    assert!(wrong.is_empty(), "{} of {accepted}:\n{}", wrong.len(), wrong.join("\n"));
}
