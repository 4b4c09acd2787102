//! What `malha run` says when it starts, and where it does not.

#[path = "support/command.rs"]
mod command;
#[path = "support/running.rs"]
mod running;

use command::{GOOD, Told, malha, tree};
use running::{PATIENCE, Running, repository};
use std::{
    fs,
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Runs a program in the mesh of [`GOOD`] that ends at once.
fn run(arguments: &[&str]) -> Told {
    malha(tree(GOOD).path(), &[&["run", "--ephemeral"], arguments, &["--", "true"]].concat())
}

/// The notes of a start.
fn notes(arguments: &[&str]) -> Vec<String> {
    let told = run(arguments);
    assert_eq!(told.status, 0, "{}", told.err);
    told.err.lines().filter_map(|line| line.strip_prefix("note: ")).map(str::to_owned).collect()
}

#[test]
fn an_endpoint_of_no_service_is_told_once() {
    let told = |endpoint: &str| notes(&["--mock", "--endpoint", &format!("{endpoint}=127.0.0.1:9")]);
    let nothing = "so 127.0.0.1:9 gets no requests";
    assert_eq!(
        told("crat.default:8000"),
        [format!("no service in these files is crat.default:8000, {nothing}: did you mean cart.default:8000?")]
    );
    assert_eq!(
        told("cart:8000"),
        [format!("no service in these files is cart:8000, {nothing}: did you mean cart.default:8000?")]
    );
    assert_eq!(
        told("billing.shop:1"),
        [format!("no service in these files is billing.shop:1, {nothing}: there are cart.default:8000")]
    );
    assert_eq!(told("cart.default:81"), [format!("cart.default has no port 81, {nothing}: it has 8000")]);
}

#[test]
fn services_that_nobody_answers_for_are_counted() {
    let expected = "1 service has no address on this machine, and requests to them get 503: `--mock` gives each workload \
                    a stand-in, `--endpoint cart.default:8000=127.0.0.1:PORT` names a process of yours";
    assert_eq!(notes(&[]), [expected]);
    assert_eq!(notes(&["--mock"]), [""; 0]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    assert_eq!(notes(&["--endpoint", &format!("cart.default:8000={address}")]), [""; 0]);
}

#[test]
fn a_mapped_port_that_is_not_there_is_named() {
    assert_eq!(
        notes(&["--mock", "--port", "99=0", "--port", "80=0"]),
        ["--port 99=0 opens nothing: no gateway listens on port 99; there are 80"]
    );
}

#[test]
fn nothing_to_serve_is_said() {
    let told = malha(tree(&[]).path(), &["run", "--ephemeral", "--", "true"]);
    assert!(told.err.contains("note: no resources were found (0 files read;"), "{}", told.err);
}

#[test]
fn a_forgotten_dash_dash_is_named() {
    let mesh = tree(GOOD);
    let told = malha(mesh.path(), &["run", "--as", "shop/app=web", "curl", "http://cart/"]);
    assert_eq!(told.status, 2);
    let expected =
        "help: if `curl` is a program to run in the mesh, it comes after `--`: malha run ... -- curl http://cart/";
    assert!(told.err.contains(expected), "{}", told.err);
    let told = malha(mesh.path(), &["run", "--as", "shop/app=web", ".", "curl", "-s", "http://cart/"]);
    assert_eq!(told.status, 2);
    assert!(told.err.contains("a program to run in the mesh, and its options, come after `--`"), "{}", told.err);
    assert!(!told.err.contains("to pass '-s' as a value"), "{}", told.err);
    let told = malha(mesh.path(), &["run", "sh", "echo hi; date"]);
    assert!(told.err.contains("malha run ... -- sh 'echo hi; date'"), "{}", told.err);
    let told = malha(mesh.path(), &["run", "--mokc"]);
    assert!(told.err.contains("'--mock'") && !told.err.contains("`--`"), "{}", told.err);
    fs::create_dir(mesh.path().join("istio")).expect("a directory");
    let told = malha(mesh.path(), &["run", "istoi"]);
    assert!(told.err.contains("did you mean `istio`?"), "{}", told.err);
    let told = malha(mesh.path(), &["run", "routs.yaml"]);
    assert!(told.status == 2 && !told.err.contains("`--`"), "{}", told.err);
}

#[test]
fn an_address_in_use_is_told_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    let port = format!("80={}", taken.port());
    let taken = taken.to_string();
    let forward = format!("cart.default:8000={taken}");
    let free = ["--port", "80=0", "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    for (option, value, help) in [
        ("--port", port.as_str(), "`--port 80=0` takes any free port"),
        ("--outbound", &taken, "`--outbound 127.0.0.1:0` takes any free port"),
        ("--admin", &taken, "`--admin 127.0.0.1:0` takes any free port"),
        ("--forward", &forward, "`--forward cart.default:8000` without an address takes any free port"),
    ] {
        let mut words = vec!["run"];
        for pair in free.chunks(2).filter(|pair| pair[0] != option) {
            words.extend(pair);
        }
        words.extend([option, value, "--", "true"]);
        let told = malha(tree(GOOD).path(), &words);
        assert_eq!(told.status, 2, "{option}: {}", told.err);
        assert!(told.err.contains(&taken) && told.err.contains(help), "{option}: {}", told.err);
    }
}

#[test]
fn quiet_says_nothing_but_what_goes_wrong() {
    let mesh = tree(GOOD);
    let call = ["--", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://cart.default:8000/"];
    let words = ["run", "--quiet", "--mock", "--ephemeral", "--port", "99=0"];
    let told = malha(mesh.path(), &[&words[..], &call].concat());
    assert_eq!((told.status, told.out.as_str(), told.err.as_str()), (0, "200", ""));
    let broken = tree(&[GOOD, &[("broken.yaml", "kind: [\n")]].concat());
    let told = malha(broken.path(), &[&words[..], &call].concat());
    assert_eq!(told.err.lines().filter(|line| line.starts_with("left out: broken.yaml:")).count(), 1, "{}", told.err);
    assert_eq!(told.err.lines().count(), 1, "{}", told.err);
    // A certificate that is missing is trouble, too.
    let secret = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: safe, namespace: default}\nspec:\n  \
                  selector: {istio: ingressgateway}\n  servers:\n  - port: {number: 443, name: https, protocol: HTTPS}\n    \
                  tls: {mode: SIMPLE, credentialName: absent}\n    hosts: ['*']\n";
    let unsafe_one = tree(&[GOOD, &[("gateway.yaml", secret)]].concat());
    let told = malha(unsafe_one.path(), &["run", "--quiet", "--ephemeral", "--", "true"]);
    assert!(told.err.starts_with("note: ") && told.err.contains("absent"), "{}", told.err);
}

#[test]
fn a_note_is_said_again_only_when_it_was_untrue_meanwhile() {
    let mesh = tree(GOOD);
    let endpoint = "crat.default:8000=127.0.0.1:9";
    let running = Running::start(&["--mock", "--endpoint", endpoint], mesh.path());
    let said = || running.log().matches("no service in these files is crat.default:8000").count();
    assert_eq!(said(), 1);
    let save = |text: &str, until: &str, times: usize| {
        fs::write(mesh.path().join("more.yaml"), text).expect("a file");
        let started = Instant::now();
        while running.log().matches(until).count() < times {
            assert!(started.elapsed() < PATIENCE, "{until}: {}", running.log());
            thread::sleep(Duration::from_millis(10));
        }
    };
    let service = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec: {{ports: [{{name: http, port: 8000}}]}}\n"
        )
    };
    save(&service("other"), "malha: reloaded", 1);
    assert_eq!(said(), 1, "{}", running.log());
    save(&service("crat"), "malha: reloaded", 2);
    assert_eq!(said(), 1, "{}", running.log());
    save(&service("other"), "malha: reloaded", 3);
    assert_eq!(said(), 2, "{}", running.log());
    running.stop();
}

/// Each command of the first page, as it is printed.
#[test]
fn the_examples_of_the_start_are_answered_by_routes() {
    for scenario in ["egress", "header-route", "path-routes", "service-entry", "tls"] {
        let running = Running::start(&["--mock"], &repository().join("examples/simul-shop").join(scenario));
        let log = running.log();
        let examples: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(!examples.is_empty(), "{scenario}: {log}");
        for example in examples {
            let quiet = example.replacen("curl ", "curl -s -o /dev/null -w '%{http_code}' ", 1);
            let told = Command::new("sh").args(["-c", &quiet]).output().expect("a shell");
            let status = String::from_utf8_lossy(&told.stdout).into_owned();
            assert!(["200", "301"].contains(&status.as_str()), "{scenario}: {example}: {status}\n{}", running.log());
        }
        running.stop();
    }
}
