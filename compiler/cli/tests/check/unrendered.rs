//! Charts and kustomizations: what no tool has made yet is named, and what one made leads back.

use super::{
    DEAD,
    command::{malha, malha_with_input, tree},
    report,
};
use serde_json::{Value, json};

#[test]
fn templates_of_a_chart_are_named_and_left_out() {
    let mesh = tree(&[
        ("shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n"),
        ("shop/values.yaml", "host: shop.example.com\n"),
        ("shop/templates/routes.yaml", DEAD),
        ("shop/templates/deep/more.yaml", "{{ if .Values.x }}\na: {{ .Values.host }}\n{{ end }}\n"),
        ("shop/charts/cart/Chart.yaml", "apiVersion: v2\nname: cart\nversion: 0.1.0\n"),
        ("shop/charts/cart/templates/cart.yaml", DEAD),
        // No chart, no template.
        ("other/templates/routes.yaml", &DEAD.replace("status: 404", "status: 200")),
    ]);
    let (status, told) = report(mesh.path(), &[]);
    assert_eq!(status, 1);
    let skipped = told["summary"]["skipped"].as_array().expect("a list");
    let charts: Vec<&Value> =
        skipped.iter().filter(|one| one["reason"].as_str().is_some_and(|why| why.contains("chart"))).collect();
    let why = "the templates of a Helm chart; check what `helm template` prints";
    assert_eq!(
        json!(charts),
        json!([{"file": "shop/charts/cart/templates", "reason": why}, {"file": "shop/templates", "reason": why}])
    );
    let files: std::collections::BTreeSet<&str> =
        told["findings"].as_array().expect("a list").iter().filter_map(|one| one["file"].as_str()).collect();
    assert_eq!(files, std::collections::BTreeSet::from(["other/templates/routes.yaml"]));
    // Whoever names a template wants it read.
    let told = malha(mesh.path(), &["check", "shop/templates/routes.yaml", "--format", "concise"]);
    assert!(told.out.contains("shop/templates/routes.yaml:11:13: "), "{}", told.out);
}

#[test]
fn what_was_rendered_leads_back_to_its_template() {
    let page = format!(
        "---\n# Source: shop/templates/service.yaml\napiVersion: v1\nkind: Service\nmetadata: {{name: cart}}\nspec: {{ports: [{{port: 80}}]}}\n---\n# Source: shop/templates/routes.yaml\n{DEAD}"
    );
    let empty = tree(&[]);
    let told = |format: &str| malha_with_input(empty.path(), &["check", "--format", format, "-"], &page);
    let concise = told("concise");
    assert_eq!(concise.status, 1);
    assert!(concise.out.starts_with("<stdin>:19:13: "), "{}", concise.out);
    assert!(
        concise.out.lines().next().is_some_and(|line| line.ends_with(" [rendered from shop/templates/routes.yaml]"))
    );
    let json: Value = serde_json::from_str(&told("json").out).expect("JSON");
    assert_eq!(json["findings"][0]["renderedFrom"], "shop/templates/routes.yaml");
    assert!(told("github").out.contains("file=shop/templates/routes.yaml,title="), "{}", told("github").out);
    let gitlab: Value = serde_json::from_str(&told("gitlab").out).expect("JSON");
    assert_eq!(gitlab[0]["location"]["path"], "shop/templates/routes.yaml");
    let sarif: Value = serde_json::from_str(&told("sarif").out).expect("JSON");
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "shop/templates/routes.yaml");
    assert!(told("pretty").out.contains("it was rendered from shop/templates/routes.yaml"));
}

#[test]
fn patches_of_a_kustomization_are_named_and_left_out() {
    // It looks like an object, and lacks what one must have.
    let patch = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop}\nspec: {hosts: [a.com], http: [{timout: 1s}]}\n";
    let mesh = tree(&[
        (
            "base/routes.yaml",
            &DEAD
                .replace("  - match: [{uri: {prefix: /a/b}}]", "  - match: [{uri: {prefix: /b}}]")
                .replace("/a/c", "/c"),
        ),
        ("base/kustomization.yaml", "resources: [routes.yaml]\n"),
        (
            "edge/kustomization.yml",
            "resources: [../base]\npatches:\n- path: timeouts.yaml\n- patch: |-\n    - op: remove\n      path: /spec\n  target: {kind: VirtualService}\npatchesStrategicMerge:\n- patches/old.yaml\n",
        ),
        ("edge/timeouts.yaml", patch),
        ("edge/patches/old.yaml", patch),
    ]);
    let (status, told) = report(mesh.path(), &[]);
    assert_eq!((status, &told["findings"]), (0, &json!([])));
    let skipped = told["summary"]["skipped"].as_array().expect("a list");
    let patches: Vec<&str> = skipped
        .iter()
        .filter(|one| one["reason"] == "a kustomize patch; check what `kustomize build` prints")
        .filter_map(|one| one["file"].as_str())
        .collect();
    assert_eq!(patches, ["edge/patches/old.yaml", "edge/timeouts.yaml"]);
}
