//! What holds for the mesh as a whole: Istio's MeshConfig and what `malha.toml` adds to it.

use crate::{
    program::{GatewayTopology, PathNormalization, Settings},
    visibility::ExportDefault,
};
use malha_model::Duration;
use malha_table::http::ForwardClientCert;
use serde_json::Value;
use smol_str::SmolStr;
use std::{collections::BTreeMap, time};

/// Settings of a mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshConfig {
    /// Domain of Kubernetes Services.
    pub cluster_domain: SmolStr,
    /// The namespace whose configs hold for all, and where synthesised gateway proxies live.
    pub root_namespace: SmolStr,
    /// What the names of workloads' certificates begin with.
    pub trust_domain: SmolStr,
    /// The release whose defaults hold (semantics G).
    pub istio: IstioVersion,
    /// Whether the input names every service there is.
    pub registry: Completeness,
    /// Gateway proxies that are not to be found in the input.
    pub gateways: Vec<ConfiguredGateway>,
    /// What happens to traffic for unknown destinations (semantics E21).
    pub outbound: OutboundMode,
    /// `exportTo` of services that have none (semantics 0.7).
    pub default_service_export_to: ExportDefault,
    /// `exportTo` of VirtualServices that have none.
    pub default_virtual_service_export_to: ExportDefault,
    /// `exportTo` of DestinationRules that have none.
    pub default_destination_rule_export_to: ExportDefault,
    /// How paths are normalised (semantics A66).
    pub path_normalization: PathNormalization,
    /// The retry policy of rules that have none, as the MeshConfig writes it (`HTTPRetry`).
    pub default_http_retry_policy: Option<Value>,
    /// Where a DestinationRule leaves connectionPool and outlierDetection open (semantics D14), as the MeshConfig
    /// writes it (`TrafficPolicy`).
    pub default_traffic_policy: Option<Value>,
    /// How endpoints near by are preferred where a DestinationRule does not say (semantics D28), as the MeshConfig writes it
    /// (`LocalityLoadBalancerSetting`); none: they are.
    pub locality_lb: Option<Value>,
    /// The same for endpoints of the own zone (`ZoneAwareLoadBalancerSetting`); none: nothing more.
    pub zone_aware_lb: Option<Value>,
    /// How long a connection may take to open; 10 s unless said otherwise.
    pub connect_timeout: Option<time::Duration>,
    /// What gateways take from whoever stands in front of them (`defaultConfig.gatewayTopology`).
    pub gateway_topology: GatewayTopology,
    /// What holds for TLS where a server or a rule says nothing of it (`tlsDefaults`).
    pub tls_defaults: TlsDefaults,
    /// Whether HTTP/1.1 ports are upgraded to HTTP/2 (`h2UpgradePolicy: UPGRADE`).
    pub h2_upgrade: bool,
    /// Whether access logs are written as JSON (`accessLogEncoding: JSON`).
    pub json_access_log: bool,
    /// What lines of the access log look like (`accessLogFormat`); none: as Istio has them.
    pub access_log_format: Option<SmolStr>,
    /// How long a sidecar waits for the first bytes that tell a protocol; none: for ever, as by default.
    pub protocol_detection_timeout: Option<time::Duration>,
    /// How long until a name is looked up again whose answer does not say how long it holds (`dnsRefreshRate`); none: a
    /// minute, as by default (semantics E5).
    pub dns_refresh: Option<time::Duration>,
    /// Settings of proxies that it makes and that are not applied, each with what holds instead.
    pub not_applied: Vec<&'static str>,
}

/// `tlsDefaults`: of TLS that ends at gateways other than by the mesh's own certificates (semantics A50), and of TLS to
/// endpoints (D55).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsDefaults {
    /// As `TLSV1_2`; gateways speak no older one. None: 1.2.
    pub min_version: Option<SmolStr>,
    /// Names of cipher suites, of TLS 1.2; none: all of the library.
    pub cipher_suites: Vec<SmolStr>,
}

/// A release of Istio. Only the two numbers that defaults depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IstioVersion {
    /// 1.
    pub major: u32,
    /// 31 in `1.31`.
    pub minor: u32,
}

impl IstioVersion {
    /// Reads `1.31`, `1.31.2`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
        numbers.all(|number| number.is_ok()).then_some(IstioVersion { major, minor })
    }
}

impl Default for IstioVersion {
    fn default() -> Self {
        IstioVersion { major: 1, minor: 31 }
    }
}

/// Whether the registry of the input is all there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Completeness {
    /// Judged by what the input holds.
    #[default]
    Auto,
    /// Other services exist elsewhere.
    Open,
    /// Every service is in the input.
    Closed,
}

/// `outboundTrafficPolicy.mode` (semantics E21).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OutboundMode {
    /// It goes where the client meant it to.
    #[default]
    AllowAny,
    /// It is refused.
    RegistryOnly,
    /// HTTP goes to its Host by DNS (semantics B39).
    AllowAnyDynamicDns,
}

/// A gateway proxy of `[[mesh.gateways]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredGateway {
    /// A name for people.
    pub name: SmolStr,
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its labels; Gateways select by these.
    pub labels: BTreeMap<SmolStr, SmolStr>,
}

impl Default for MeshConfig {
    fn default() -> Self {
        MeshConfig {
            cluster_domain: SmolStr::new_static("cluster.local"),
            root_namespace: SmolStr::new_static("istio-system"),
            trust_domain: SmolStr::new_static("cluster.local"),
            istio: IstioVersion::default(),
            registry: Completeness::default(),
            gateways: Vec::new(),
            outbound: OutboundMode::default(),
            default_service_export_to: ExportDefault::default(),
            default_virtual_service_export_to: ExportDefault::default(),
            default_destination_rule_export_to: ExportDefault::default(),
            path_normalization: PathNormalization::default(),
            default_http_retry_policy: None,
            default_traffic_policy: None,
            locality_lb: None,
            zone_aware_lb: None,
            connect_timeout: None,
            gateway_topology: GatewayTopology::default(),
            tls_defaults: TlsDefaults::default(),
            h2_upgrade: false,
            not_applied: Vec::new(),
            json_access_log: false,
            access_log_format: None,
            protocol_detection_timeout: None,
            dns_refresh: None,
        }
    }
}

impl MeshConfig {
    /// What a runtime needs of it.
    pub fn settings(&self) -> Settings {
        let MeshConfig { path_normalization, dns_refresh, gateway_topology, .. } = *self;
        Settings { path_normalization, dns_refresh, gateway_topology }
    }

    /// Reads Istio's MeshConfig. What it does not know, or cannot read, it leaves at its default.
    pub fn from_json(config: &Value) -> Self {
        let mut read = MeshConfig {
            outbound: match text(config.pointer("/outboundTrafficPolicy/mode")) {
                Some("REGISTRY_ONLY") => OutboundMode::RegistryOnly,
                Some("ALLOW_ANY_DYNAMIC_DNS") => OutboundMode::AllowAnyDynamicDns,
                _ => OutboundMode::AllowAny,
            },
            default_service_export_to: export_default(config.get("defaultServiceExportTo")),
            default_virtual_service_export_to: export_default(config.get("defaultVirtualServiceExportTo")),
            default_destination_rule_export_to: export_default(config.get("defaultDestinationRuleExportTo")),
            path_normalization: match text(config.pointer("/pathNormalization/normalization")) {
                Some("NONE") => PathNormalization::None,
                Some("MERGE_SLASHES") => PathNormalization::MergeSlashes,
                Some("DECODE_AND_MERGE_SLASHES") => PathNormalization::DecodeAndMergeSlashes,
                _ => PathNormalization::Base,
            },
            default_http_retry_policy: config
                .get("defaultHttpRetryPolicy")
                .filter(|policy| policy.is_object())
                .cloned(),
            default_traffic_policy: config.get("defaultTrafficPolicy").filter(|policy| policy.is_object()).cloned(),
            locality_lb: config.get("localityLbSetting").filter(|setting| setting.is_object()).cloned(),
            zone_aware_lb: config.get("zoneAwareLbSetting").filter(|setting| setting.is_object()).cloned(),
            connect_timeout: text(config.get("connectTimeout")).and_then(Duration::parse).map(Duration::to_std),
            gateway_topology: config
                .pointer("/defaultConfig/gatewayTopology")
                .map(gateway_topology)
                .unwrap_or_default(),
            tls_defaults: config.get("tlsDefaults").map(tls_defaults).unwrap_or_default(),
            h2_upgrade: text(config.get("h2UpgradePolicy")) == Some("UPGRADE"),
            not_applied: NOT_APPLIED
                .iter()
                .filter(|(pointer, _)| config.pointer(pointer).is_some_and(is_asked))
                .map(|(_, sentence)| *sentence)
                .collect(),
            json_access_log: text(config.get("accessLogEncoding")) == Some("JSON"),
            access_log_format: text(config.get("accessLogFormat")).filter(|format| !format.is_empty()).map(Into::into),
            protocol_detection_timeout: text(config.get("protocolDetectionTimeout"))
                .and_then(Duration::parse)
                .map(Duration::to_std)
                .filter(|timeout| !timeout.is_zero()),
            dns_refresh: text(config.get("dnsRefreshRate"))
                .and_then(Duration::parse)
                .map(Duration::to_std)
                .filter(|rate| !rate.is_zero()),
            ..MeshConfig::default()
        };
        if let Some(domain) = text(config.get("trustDomain")).filter(|domain| !domain.is_empty()) {
            read.trust_domain = domain.into();
        }
        if let Some(namespace) = text(config.get("rootNamespace")).filter(|namespace| !namespace.is_empty()) {
            read.root_namespace = namespace.into();
        }
        read
    }
}

/// Settings by their place, and what is to be said of each.
const NOT_APPLIED: [(&str, &str); 3] = [
    ("/zoneAwareLbSetting", "zoneAwareLbSetting is not applied: endpoints of one region are one pool"),
    ("/tlsDefaults/ecdhCurves", "ecdhCurves of tlsDefaults is not applied: the curves of the library are spoken"),
    ("/meshMTLS", "meshMTLS is not applied: it is about the workloads' own side, which is not executed"),
];

/// Whether a setting asks for anything; an empty block does.
fn is_asked(setting: &Value) -> bool {
    match setting {
        Value::Null => false,
        Value::Bool(is_on) => *is_on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "UNDEFINED",
        Value::Array(items) => !items.is_empty(),
        Value::Object(block) => block.get("enabled") != Some(&Value::Bool(false)),
    }
}

fn tls_defaults(defaults: &Value) -> TlsDefaults {
    let suites = defaults.get("cipherSuites").and_then(Value::as_array).into_iter().flatten();
    TlsDefaults {
        min_version: text(defaults.get("minProtocolVersion"))
            .filter(|version| matches!(*version, "TLSV1_0" | "TLSV1_1" | "TLSV1_2" | "TLSV1_3"))
            .map(SmolStr::new),
        cipher_suites: suites.filter_map(Value::as_str).map(SmolStr::new).collect(),
    }
}

/// `gatewayTopology`; the mere presence of `proxyProtocol` asks for it.
fn gateway_topology(topology: &Value) -> GatewayTopology {
    let count = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let trusted = topology.get("numTrustedProxies").and_then(count).and_then(|count| u32::try_from(count).ok());
    GatewayTopology {
        trusted_proxies: trusted.unwrap_or_default(),
        client_cert: text(topology.get("forwardClientCertDetails"))
            .and_then(ForwardClientCert::named)
            .unwrap_or_default(),
        proxy_protocol: topology.get("proxyProtocol").is_some_and(Value::is_object),
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

fn export_default(value: Option<&Value>) -> ExportDefault {
    let entries = value.and_then(Value::as_array).into_iter().flatten();
    ExportDefault(entries.filter_map(Value::as_str).map(SmolStr::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mesh_config_is_read_and_the_unknown_passed_over() {
        let config = MeshConfig::from_json(&json!({
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
            "defaultServiceExportTo": ["."],
            "pathNormalization": {"normalization": "MERGE_SLASHES"},
            "defaultHttpRetryPolicy": {"attempts": 5},
            "connectTimeout": "3s",
            "rootNamespace": "mesh-root",
            "h2UpgradePolicy": "UPGRADE",
            "accessLogEncoding": "JSON",
            "accessLogFormat": "{\"code\": \"%RESPONSE_CODE%\"}",
            "protocolDetectionTimeout": "100ms",
            "dnsRefreshRate": "5s",
            "somethingNew": {"a": 1},
        }));
        assert_eq!(config.outbound, OutboundMode::RegistryOnly, "E21");
        assert_eq!(config.default_service_export_to, ExportDefault(vec![".".into()]), "0.7");
        assert_eq!(config.path_normalization, PathNormalization::MergeSlashes, "A66");
        assert_eq!(config.default_http_retry_policy, Some(json!({"attempts": 5})));
        assert_eq!(config.connect_timeout, Some(time::Duration::from_secs(3)), "D.6");
        assert_eq!(config.root_namespace, "mesh-root");
        assert!(config.h2_upgrade && config.json_access_log);
        assert_eq!(config.access_log_format.as_deref(), Some("{\"code\": \"%RESPONSE_CODE%\"}"), "C85");
        assert_eq!(config.protocol_detection_timeout, Some(time::Duration::from_millis(100)), "E24");
        assert_eq!(config.dns_refresh, Some(time::Duration::from_secs(5)), "E5");
    }

    #[test]
    fn what_stands_in_front_of_gateways_is_read() {
        let read = |topology: Value| {
            MeshConfig::from_json(&json!({"defaultConfig": {"gatewayTopology": topology}})).gateway_topology
        };
        let trusting = GatewayTopology { trusted_proxies: 2, ..GatewayTopology::default() };
        assert_eq!(read(json!({"numTrustedProxies": 2})), trusting, "A63");
        assert_eq!(read(json!({"numTrustedProxies": "2", "proxyProtocol": null})), trusting);
        assert!(read(json!({"proxyProtocol": {}})).proxy_protocol, "A71");
        let details = |name: &str| read(json!({"forwardClientCertDetails": name})).client_cert;
        assert_eq!(details("APPEND_FORWARD"), ForwardClientCert::AppendForward, "A64");
        assert_eq!(details("UNDEFINED"), ForwardClientCert::SanitizeSet);
        assert_eq!(read(json!({"numTrustedProxies": -1})), GatewayTopology::default());
    }

    #[test]
    fn defaults_of_tls_are_read() {
        let read = |defaults: Value| MeshConfig::from_json(&json!({"tlsDefaults": defaults})).tls_defaults;
        let both = read(json!({"minProtocolVersion": "TLSV1_3", "cipherSuites": ["ECDHE-RSA-AES256-GCM-SHA384"]}));
        assert_eq!(both.min_version.as_deref(), Some("TLSV1_3"), "A50");
        assert_eq!(both.cipher_suites, ["ECDHE-RSA-AES256-GCM-SHA384"], "A50, D55");
        assert_eq!(read(json!({"minProtocolVersion": "TLS_AUTO"})), TlsDefaults::default());
    }

    #[test]
    fn what_is_not_applied_is_named() {
        let named = |config: Value| MeshConfig::from_json(&config).not_applied;
        assert!(named(json!({"tlsDefaults": {"ecdhCurves": ["P-256"]}}))[0].starts_with("ecdhCurves "));
        assert!(named(json!({"meshMTLS": {"minProtocolVersion": "TLSV1_3"}}))[0].starts_with("meshMTLS "));
        assert!(named(json!({"zoneAwareLbSetting": {"enabled": false}, "tlsDefaults": {}})).is_empty());
    }

    #[test]
    fn what_is_no_mesh_config_leaves_the_defaults() {
        for config in [
            json!(null),
            json!([1]),
            json!({"outboundTrafficPolicy": 7, "connectTimeout": "soon"}),
            json!({"protocolDetectionTimeout": "0s", "dnsRefreshRate": "0s"}),
        ] {
            assert_eq!(MeshConfig::from_json(&config), MeshConfig::default(), "{config}");
        }
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert!(IstioVersion::parse("1.9") < IstioVersion::parse("1.31"));
        assert_eq!(IstioVersion::parse("1.31.2"), Some(IstioVersion::default()));
        assert_eq!(IstioVersion::parse("latest"), None);
    }
}
