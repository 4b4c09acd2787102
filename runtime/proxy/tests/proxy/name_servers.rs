//! Which of several name servers is believed, and how long they are waited for (semantics E5).

use super::names::{UNHEALTHY, asking, set, stat, table, whos};
use crate::common::{
    echo::Echo,
    name_server::{NameServer, Says, local},
    start, wait_for,
};
use malha_proxy::{Dns, Options};
use std::time::Duration;

/// Two servers that say this of `x.example`, and a proxy's options to ask them in this order.
fn two(first: Says, second: Says, patience: Duration) -> (NameServer, NameServer, Options) {
    let servers = (NameServer::start(), NameServer::start());
    servers.0.say("x.example", first);
    servers.1.say("x.example", second);
    let one = asking(&servers.0);
    let dns = Dns { servers: vec![servers.0.address, servers.1.address], patience, ..one.dns.clone() };
    (servers.0, servers.1, Options { dns, ..one })
}

/// Longer than any server of these tests takes.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn the_first_server_that_knows_is_believed_and_the_next_one_not_asked() {
    let echo = Echo::start("one");
    for second in [Says::Failure, Says::Refusal, Says::Unknown, local(0, &[9])] {
        let (first, other, options) = two(local(0, &[1]), second, LONG);
        let proxy = start(table("DNS", echo.address.port(), ""), options);
        wait_for("many answers", || stat(&proxy, "update_success") > 20);
        assert_eq!(whos(&proxy, 2), set(["one"]));
        assert_eq!((stat(&proxy, "update_failure"), stat(&proxy, "membership_total")), (0, 1), "E5");
        assert!(first.asked("x.example") > 20);
        assert_eq!(other.asked("x.example"), 0, "nobody needs it");
    }
}

#[test]
fn where_the_first_server_fails_the_next_is_asked() {
    let echo = Echo::start("one");
    for first in [Says::Failure, Says::Refusal] {
        let (_first, _second, options) = two(first, local(0, &[1]), LONG);
        let proxy = start(table("DNS", echo.address.port(), ""), options);
        wait_for("many answers", || stat(&proxy, "update_success") > 20);
        assert_eq!(whos(&proxy, 2), set(["one"]));
        assert_eq!(stat(&proxy, "update_failure"), 0, "E5");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_nobody_serves_the_next_is_asked_at_once() {
    let echo = Echo::start("one");
    let (_first, _second, mut options) = two(Says::Silence, local(0, &[1]), LONG);
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    options.dns.servers[0] = nobody;
    let proxy = start(table("DNS", echo.address.port(), ""), options);
    assert_eq!(whos(&proxy, 2), set(["one"]), "E5: its first request finds the address");
    assert_eq!(stat(&proxy, "update_failure"), 0);
}

#[test]
fn where_the_first_server_is_silent_the_next_is_asked_and_from_then_on_first() {
    let echo = Echo::start("one");
    let (first, _second, options) = two(Says::Silence, local(0, &[1]), Duration::from_millis(200));
    let proxy = start(table("DNS", echo.address.port(), ""), options);
    assert_eq!(whos(&proxy, 2), set(["one"]), "E5: its first request finds the address");
    let asked = first.asked("x.example");
    wait_for("many answers", || stat(&proxy, "update_success") > 20);
    assert_eq!(stat(&proxy, "update_failure"), 0, "E5");
    // It is asked now and then whether it is back.
    assert!(first.asked("x.example") < asked + 20);
}

#[test]
fn that_there_is_no_such_name_is_an_answer_whatever_others_would_say() {
    let echo = Echo::start("one");
    for nothing in [Says::Unknown, Says::Nothing] {
        let (_first, second, options) = two(nothing, local(0, &[1]), LONG);
        let proxy = start(table("DNS", echo.address.port(), ""), options);
        wait_for("many answers", || stat(&proxy, "update_success") > 20);
        assert_eq!(whos(&proxy, 1), set([UNHEALTHY]), "E5");
        assert_eq!((stat(&proxy, "update_failure"), second.asked("x.example")), (0, 0));
    }
}

#[test]
fn a_server_that_always_takes_longer_than_it_is_waited_for_is_heard() {
    let echo = Echo::start("one");
    let server = NameServer::start();
    server.say("x.example", Says::Slowly(Duration::from_millis(700), Box::new(local(0, &[1]))));
    let one = asking(&server);
    let dns = Dns { patience: Duration::from_millis(400), ..one.dns.clone() };
    let proxy = start(table("DNS", echo.address.port(), ""), Options { dns, ..one });
    assert_eq!(whos(&proxy, 2), set(["one"]), "E5");
    wait_for("another answer", || stat(&proxy, "update_success") > 1);
    assert_eq!(stat(&proxy, "update_failure"), 0);
}
