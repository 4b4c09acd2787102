//! Injected faults beyond what the recordings hold: time, gRPC, and what the log says (semantics C.8).

use crate::common::{client::get, echo::Echo, mesh, options, start};
use malha_proxy::{AccessLog, Options};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const RULES: &str = "  - match: [{uri: {prefix: /slow}}]
    fault: {delay: {fixedDelay: 150ms, percentage: {value: 100}}}
    timeout: 100ms
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /both}}]
    fault:
      delay: {fixedDelay: 150ms, percentage: {value: 100}}
      abort: {httpStatus: 418, percentage: {value: 100}}
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /grpc}}]
    fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 100}}}
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /half}}]
    fault: {abort: {httpStatus: 503, percentage: {value: 50}}}
    route:
    - destination: {host: a}
";

/// A proxy, and the lines that it logs.
fn logging(echo: &Echo) -> (crate::common::Running, Arc<Mutex<Vec<String>>>) {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = {
        let lines = Arc::clone(&lines);
        AccessLog::to_function(move |line| lines.lock().unwrap().push(line.to_owned()))
    };
    let options = Options { access_log: Some(log), ..options() };
    (start(mesh::gateway(RULES, &[echo.address], &[]), options), lines)
}

#[test]
fn a_delay_is_no_part_of_the_timeout_and_comes_before_an_abort() {
    let echo = Echo::start("a");
    let (proxy, lines) = logging(&echo);
    for (path, status) in [("/slow", 200), ("/both", 418)] {
        let start = Instant::now();
        let answer = get(proxy.gateway(80), "x.com", path, "");
        assert_eq!(answer.status, status, "{path}");
        let delay = Duration::from_millis(150);
        assert!(start.elapsed() >= delay, "{path}");
        let service: Option<u64> = answer.header("x-envoy-upstream-service-time").and_then(|time| time.parse().ok());
        assert_eq!(service.is_some(), status == 200, "{path}");
        assert!(Duration::from_millis(service.unwrap_or_default()) + delay <= start.elapsed(), "{answer:?}");
    }
    crate::common::wait_for("two lines", || lines.lock().unwrap().len() == 2);
    let lines = lines.lock().unwrap();
    assert!(lines[0].contains(" 200 DI via_upstream "), "{}", lines[0]);
    assert!(lines[1].contains(" 418 DI,FI fault_filter_abort "), "{}", lines[1]);
}

#[test]
fn a_grpc_status_is_for_grpc_requests() {
    let echo = Echo::start("a");
    let (proxy, _) = logging(&echo);
    let plain = get(proxy.gateway(80), "x.com", "/grpc", "");
    assert_eq!((plain.status, plain.text().as_str(), plain.header("grpc-status")), (200, "fault filter abort", None));
    let grpc = get(proxy.gateway(80), "x.com", "/grpc", "content-type: application/grpc\r\n");
    assert_eq!((grpc.status, grpc.text().as_str()), (200, ""));
    assert_eq!(grpc.header("grpc-status"), Some("8"));
    assert_eq!(grpc.header("grpc-message"), Some("fault filter abort"));
}

#[test]
fn chances_are_drawn_request_by_request() {
    let echo = Echo::start("a");
    let (proxy, _) = logging(&echo);
    let aborted = (0..200).filter(|_| get(proxy.gateway(80), "x.com", "/half", "").status == 503).count();
    assert!((60..140).contains(&aborted), "{aborted} of 200");
}
