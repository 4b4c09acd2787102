//! What the reader makes of documents: resources, and what it passes over.

mod common;

use common::{findings_of, read_json, read_yaml};
use malha_model::{Duration, Kind, PassedOver, Spec, istio::virtual_service::StringMatch, kubernetes::IntOrString};
use serde_json::{Value, json};

const MESH: &str = "\
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: shop
  namespace: web
  labels: {team: shop}
spec:
  hosts: [shop.example.com]
  gateways: [web/edge, mesh]
  http:
  - name: canary
    match:
    - uri: {prefix: /v2}
      headers:
        x-user: {regex: 'a.*'}
        x-any: {}
      port: 80.0
    route:
    - destination: {host: shop, subset: v2, port: {number: 8080}}
      weight: 90
    - {destination: {host: shop}, weight: 10}
    timeout: 1m30s
    retries: {attempts: 0, retryRemoteLocalities: null}
    mirror_percent: 5
  - directResponse: {status: 200, body: {bytes: aGk=}}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: web, creationTimestamp: \"2026-01-02T03:04:05Z\", ownerReferences: []}
spec:
  clusterIP: None
  sessionAffinity: None
  ports:
  - {name: http, port: 80, targetPort: web}
  - {name: grpc, port: 90, targetPort: 9090, appProtocol: null}
  selector: {app: shop}
";

#[test]
fn reads_values_with_their_places() {
    let (_reading, read) = read_yaml(MESH);
    assert_eq!(findings_of(&read), "");
    let [virtual_service, service] = read.resources.as_slice() else { panic!("{read:?}") };
    assert_eq!(
        (virtual_service.kind, virtual_service.namespace.as_str(), virtual_service.name.as_str()),
        (Kind::VirtualService, "web", "shop")
    );
    assert!(!virtual_service.refused);
    let Spec::VirtualService(spec) = &virtual_service.spec else { panic!("{virtual_service:?}") };
    let rule = &spec.http[0];
    let [condition] = rule.matches.as_slice() else { panic!("{rule:?}") };
    let prefix = condition.uri.as_ref().and_then(|uri| uri.text()).expect("there is a text");
    assert_eq!(&MESH[prefix.span.start as usize..prefix.span.end as usize], "/v2");
    assert_eq!(&MESH[prefix.key.start as usize..prefix.key.end as usize], "prefix");
    assert_eq!(condition.port.as_ref().map(|port| port.value), Some(80));
    assert_eq!(condition.headers.get("x-any").map(|it| &it.value), Some(&StringMatch::Any));
    assert!(
        matches!(condition.headers.get("x-user").map(|it| &it.value), Some(StringMatch::Regex(text)) if text.value == "a.*")
    );
    assert_eq!(rule.timeout.as_ref().map(|timeout| timeout.value), Duration::parse("90s"));
    let weights: Vec<_> = rule.route.iter().map(|route| route.weight.as_ref().map(|weight| weight.value)).collect();
    assert_eq!(weights, [Some(90), Some(10)]);
    assert_eq!(rule.mirror_percent_snake_case.as_ref().map(|percent| percent.value), Some(5));
    let retries = rule.retries.as_ref().expect("there are retries");
    assert!(retries.retry_remote_localities.is_none());

    let Spec::Service(spec) = &service.spec else { panic!("{service:?}") };
    let targets: Vec<_> =
        spec.ports.iter().map(|port| port.target_port.as_ref().map(|target| target.value.clone())).collect();
    assert_eq!(targets, [Some(IntOrString::String("web".into())), Some(IntOrString::Int(9090))]);
    assert_eq!(
        service.metadata.creation_timestamp.as_ref().map(|time| time.value.as_str()),
        Some("2026-01-02T03:04:05Z")
    );
}

#[test]
fn resources_serialize_to_what_reads_the_same() {
    let (_reading, read) = read_yaml(MESH);
    for resource in &read.resources {
        let json = serde_json::to_value(resource).expect("a resource serializes");
        let (_reading, again) = read_json(&json);
        assert_eq!(findings_of(&again), "", "{json}");
        let [again] = again.resources.as_slice() else { panic!("{json}") };
        assert_eq!((&again.metadata, &again.spec), (&resource.metadata, &resource.spec), "{json}");
    }
    let json = serde_json::to_value(&read.resources[0]).expect("a resource serializes");
    assert_eq!(json["kind"], "VirtualService");
    assert_eq!(json.pointer("/spec/http/0/timeout"), Some(&json!("90s")));
    assert_eq!(json.pointer("/spec/http/1/directResponse/body/bytes"), Some(&json!("aGk=")));
    assert_eq!(json.pointer("/spec/http/0/match/0/headers"), Some(&json!({"x-user": {"regex": "a.*"}, "x-any": {}})));
}

#[test]
fn takes_lists_apart() {
    let text = "\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: a}}
- {apiVersion: networking.istio.io/v1, kind: VirtualServiceList, items: [{metadata: {name: v}, spec: {http: [{redirect: {uri: /}}]}}]}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
";
    let (_reading, read) = read_yaml(text);
    let names: Vec<_> = read.resources.iter().map(|it| (it.kind, it.namespace.as_str(), it.name.as_str())).collect();
    assert_eq!(names, [(Kind::Namespace, "", "a"), (Kind::VirtualService, "default", "v")]);
    assert_eq!(read.others.iter().map(|other| other.reason).collect::<Vec<_>>(), [PassedOver::OtherKind]);
    assert_eq!(findings_of(&read), "");
}

#[test]
fn passes_over_what_is_no_object_of_ours() {
    for (text, reason, kind) in [
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n", PassedOver::OtherKind, Some("ConfigMap")),
        ("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n", PassedOver::OtherKind, Some("Gateway")),
        ("apiVersion: serving.knative.dev/v1\nkind: Service\n", PassedOver::OtherKind, Some("Service")),
        ("apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n", PassedOver::OtherKind, Some("EnvoyFilter")),
        ("replicaCount: 1\nimage: {tag: x}\n", PassedOver::NoKind, None),
        ("just a text\n", PassedOver::NoKind, None),
        ("resources: [a.yaml]\n", PassedOver::Kustomization, None),
        (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
            PassedOver::Kustomization,
            Some("Kustomization"),
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n$patch: delete\n",
            PassedOver::KustomizePatch,
            Some("Service"),
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: s}\nspec: {servers: [{$patch: replace}]}\n",
            PassedOver::KustomizePatch,
            Some("Gateway"),
        ),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.name }}\n", PassedOver::Template, None),
        ("- {op: replace, path: /spec/hosts/0, value: a}\n", PassedOver::KustomizePatch, None),
    ] {
        let (_reading, read) = read_yaml(text);
        let others: Vec<_> = read.others.iter().map(|other| (other.reason, other.kind.as_deref())).collect();
        assert_eq!(others, [(reason, kind)], "{text}");
        assert!(read.resources.is_empty() && read.findings.is_empty(), "{text}: {read:?}");
    }
}

#[test]
fn an_object_that_cannot_be_read_cleanly_is_refused() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  type: ClusterIP\n  type: NodePort\n";
    let (reading, read) = read_yaml(text);
    assert_eq!(reading.findings.len(), 1);
    assert_eq!(findings_of(&read), "");
    assert_eq!(read.resources.iter().map(|resource| resource.refused).collect::<Vec<_>>(), [true]);
}

#[test]
fn equality_and_hash_disregard_the_place() {
    let object = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n";
    let (_reading, read) =
        read_yaml(&format!("# a comment\n---\n{object}---\n{object}---\n{}", object.replace("80", "81")));
    let [first, second, third] = read.resources.as_slice() else { panic!("{read:?}") };
    assert_eq!(first.spec, second.spec);
    assert_eq!(first.content_hash, second.content_hash);
    assert_ne!(first.spec, third.spec);
    assert_ne!(first.content_hash, third.content_hash);
}

#[test]
fn never_panics_on_odd_shapes() {
    let shapes: Vec<Value> =
        vec![json!(null), json!("x"), json!(1e300), json!(-1), json!([]), json!([[{}]]), json!({"": {"": null}})];
    for kind in ["VirtualService", "Sidecar", "List", "GatewayList"] {
        for field in ["apiVersion", "kind", "metadata", "spec", "items"] {
            for shape in &shapes {
                let mut object = json!({
                    "apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "x"}, "spec": {}, "items": [],
                });
                object[field] = shape.clone();
                let (_reading, read) = read_json(&object);
                assert!(read.resources.len() <= 1);
            }
        }
    }
}
