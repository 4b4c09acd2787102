//! `trafficPolicy`: what a policy is made of, with TLS, ejection and the smaller parts.

use super::{ConnectionPoolSettings, LoadBalancerSettings};
use crate::{
    Duration, Spanned,
    istio::PortSelector,
    limits::Limits,
    read::{choice, message},
};
use smol_str::SmolStr;

message! {
    /// How connections to a host are treated.
    pub struct TrafficPolicy {
        /// How an endpoint is chosen.
        load_balancer: Option<Box<Spanned<LoadBalancerSettings>>> = "loadBalancer",
        /// Limits on connections and requests.
        connection_pool: Option<Box<Spanned<ConnectionPoolSettings>>> = "connectionPool",
        /// When failing endpoints are left out for a while.
        outlier_detection: Option<Box<Spanned<OutlierDetection>>> = "outlierDetection",
        /// How TLS is spoken with the endpoints.
        tls: Option<Box<Spanned<ClientTlsSettings>>> = "tls",
        /// Other policies for single ports; each replaces the whole policy for its port.
        port_level_settings: Vec<Spanned<PortTrafficPolicy>> = "portLevelSettings" [max_items(4096)],
        /// How connections are tunnelled through the host.
        tunnel: Option<Box<Spanned<TunnelSettings>>> = "tunnel",
        /// How the client's address is told to the endpoints.
        proxy_protocol: Option<Spanned<ProxyProtocol>> = "proxyProtocol",
        /// How many retries may run at a time, relative to the requests.
        retry_budget: Option<Box<Spanned<RetryBudget>>> = "retryBudget",
    }
}

message! {
    /// How connections to one port are treated.
    pub struct PortTrafficPolicy {
        /// The port of the service.
        port: Option<Spanned<PortSelector>> = "port",
        /// How an endpoint is chosen.
        load_balancer: Option<Box<Spanned<LoadBalancerSettings>>> = "loadBalancer",
        /// Limits on connections and requests.
        connection_pool: Option<Box<Spanned<ConnectionPoolSettings>>> = "connectionPool",
        /// When failing endpoints are left out for a while.
        outlier_detection: Option<Box<Spanned<OutlierDetection>>> = "outlierDetection",
        /// How TLS is spoken with the endpoints.
        tls: Option<Box<Spanned<ClientTlsSettings>>> = "tls",
    }
}

const HTTP_STATUS: Limits = Limits::NONE.minimum(100).maximum(599);

message! {
    /// When failing endpoints are left out for a while.
    pub struct OutlierDetection {
        /// Failures in a row that eject an endpoint. Deprecated: use `consecutive5xxErrors`.
        consecutive_errors: Option<Spanned<i32>> = "consecutiveErrors",
        /// Whether failures on the way are counted apart from answers of the endpoint.
        split_external_local_origin_errors: Option<Spanned<bool>> = "splitExternalLocalOriginErrors",
        /// Failures on the way in a row that eject an endpoint.
        consecutive_local_origin_failures: Option<Spanned<u32>> = "consecutiveLocalOriginFailures" [nullable],
        /// Answers 502, 503 or 504 in a row that eject an endpoint.
        consecutive_gateway_errors: Option<Spanned<u32>> = "consecutiveGatewayErrors" [nullable],
        /// Answers 5xx in a row that eject an endpoint.
        consecutive_5xx_errors: Option<Spanned<u32>> = "consecutive5xxErrors" [nullable],
        /// How often ejection is considered.
        interval: Option<Spanned<Duration>> = "interval" [positive],
        /// Shortest ejection; it grows with the number of ejections.
        base_ejection_time: Option<Spanned<Duration>> = "baseEjectionTime" [positive],
        /// Most endpoints that may be ejected at a time, in percent.
        max_ejection_percent: Option<Spanned<i32>> = "maxEjectionPercent",
        /// Ejection stops mattering when fewer endpoints than this are healthy, in percent.
        min_health_percent: Option<Spanned<i32>> = "minHealthPercent",
        /// The status codes that count as failures, in place of 5xx.
        outlier_detection_http_error_codes: Vec<Spanned<i64>> = "outlierDetectionHttpErrorCodes" [items(&HTTP_STATUS)],
    }
}

message! {
    /// How TLS is spoken with the endpoints of a host.
    pub struct ClientTlsSettings {
        /// Whether TLS is spoken, and who shows certificates.
        mode: Option<Spanned<ClientTlsMode>> = "mode",
        /// File of the client's certificate.
        client_certificate: Option<Spanned<SmolStr>> = "clientCertificate",
        /// File of its key.
        private_key: Option<Spanned<SmolStr>> = "privateKey",
        /// File of the authorities that sign the host's certificate.
        ca_certificates: Option<Spanned<SmolStr>> = "caCertificates",
        /// The Secret that holds certificate, key and authorities.
        credential_name: Option<Spanned<SmolStr>> = "credentialName",
        /// Names of which the host's certificate must hold one.
        subject_alt_names: Vec<Spanned<SmolStr>> = "subjectAltNames",
        /// The server name (SNI) to ask for.
        sni: Option<Spanned<SmolStr>> = "sni",
        /// Whether the host's certificate is not checked.
        insecure_skip_verify: Option<Spanned<bool>> = "insecureSkipVerify" [nullable],
        /// File of the host's certificates that were withdrawn.
        ca_crl: Option<Spanned<SmolStr>> = "caCrl",
    }
}

choice! {
    /// Whether TLS is spoken, and who shows certificates.
    pub enum ClientTlsMode {
        /// No TLS.
        Disable = "DISABLE",
        /// The host shows a certificate.
        Simple = "SIMPLE",
        /// Both show certificates; the client's is given here.
        Mutual = "MUTUAL",
        /// Both show certificates of the mesh.
        IstioMutual = "ISTIO_MUTUAL",
    }
}

message! {
    /// How connections are tunnelled through the host.
    pub struct TunnelSettings {
        /// How the tunnel is asked for: `CONNECT` or `POST`; `CONNECT` by default.
        protocol: Option<Spanned<SmolStr>> = "protocol",
        /// Where the tunnel ends.
        target_host: Option<Spanned<SmolStr>> = "targetHost" [required],
        /// The port there.
        target_port: Option<Spanned<u32>> = "targetPort" [required],
    }
}

message! {
    /// How the client's address is told to the endpoints.
    pub struct ProxyProtocol {
        /// The version of the PROXY protocol.
        version: Option<Spanned<ProxyProtocolVersion>> = "version",
    }
}

choice! {
    /// A version of the PROXY protocol.
    pub enum ProxyProtocolVersion {
        /// The one in text; the default.
        V1 = "V1",
        /// The binary one.
        V2 = "V2",
    }
}

message! {
    /// How many retries may run at a time, relative to the requests.
    pub struct RetryBudget {
        /// Retries in percent of the requests.
        percent: Option<Spanned<f64>> = "percent" [nullable, minimum(0), maximum(100)],
        /// Retries that may always run.
        min_retry_concurrency: Option<Spanned<u32>> = "minRetryConcurrency",
        /// The time over which requests are counted.
        budget_interval: Option<Spanned<Duration>> = "budgetInterval",
    }
}
