//! Memory of `malha-proxy` for connections that are open and idle, of plain bytes and of HTTP/1.1, beside proxies that only
//! copy.

use super::{programs, tcp};
use crate::processes::{Programs, Running, files};
use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

/// As many as a listener takes.
const MOST: usize = 10_000;
/// Files that a proxy has open beside its connections, and some more.
const OTHER_FILES: usize = 100;
/// Connections that come and go ahead of all that counts.
const FIRST: &str = "200";
/// Worker threads of each proxy.
const WORKERS: &str = "2";

/// Prints what open connections take of memory, and of processors while they are idle.
pub(super) fn run(binaries: &Path) -> Result<(), String> {
    let programs = programs(binaries, "connections")?;
    let files = files()?;
    let count = MOST.min(files.saturating_sub(OTHER_FILES) / 2);
    if count < MOST {
        println!(
            "A process may open {files} files here, and a connection through a proxy takes two: {count} connections \
             instead of {MOST}. `ulimit -Hn` says so; who may raise it gets all.\n"
        );
    }
    println!("{count} connections that have each carried something both ways, {WORKERS} workers\n");
    println!("| proxy | RSS before, KiB | with them, KiB | bytes for each | CPU for 10 s of nothing, ms |");
    println!("| --- | --- | --- | --- | --- |");
    // Each has an upstream of its own: ports of connections that have ended are not free for a minute.
    let upstream = Running::part(&mut programs.part(&["echo"]))?;
    let plain = Running::part(&mut programs.part(&["copy", &upstream.told, WORKERS]))?;
    hold(&programs, "plain, bytes", &plain, &plain.told, count, "bytes")?;
    let upstream = Running::part(&mut programs.part(&["echo"]))?;
    let proxy = programs.proxy(&tcp::MESH.replace("UPSTREAM", upstream.port()), WORKERS)?;
    hold(&programs, "malha-proxy, bytes", &proxy.running, proxy.gateway(5432)?, count, "bytes")?;
    let upstream = Running::part(&mut programs.part(&["upstream"]))?;
    let plain = Running::part(&mut programs.part(&["plain", &upstream.told, WORKERS]))?;
    hold(&programs, "plain, HTTP/1.1", &plain, &plain.told, count, "requests")?;
    let proxy = programs.proxy(&super::proxy::MESH.replace("UPSTREAM", upstream.port()), WORKERS)?;
    hold(&programs, "malha-proxy, HTTP/1.1", &proxy.running, proxy.gateway(80)?, count, "requests")
}

fn hold(
    programs: &Programs,
    name: &str,
    proxy: &Running,
    address: &str,
    count: usize,
    says: &str,
) -> Result<(), String> {
    let open = |count: &str| -> Result<Running, String> {
        let held = Running::part(&mut programs.part(&["hold", address, count, says]))?;
        let are_open = held.told == format!("{count} are open");
        if are_open { Ok(held) } else { Err(format!("{name}: the connections do not open")) }
    };
    // What the first ones need is had, and stays.
    drop(open(FIRST)?);
    settle(proxy)?;
    let before = proxy.memory()?;
    let held = open(&count.to_string())?;
    settle(proxy)?;
    let with = proxy.memory()?;
    let (cpu, since) = (proxy.cpu()?, Instant::now());
    sleep(Duration::from_secs(10));
    let (cpu, seconds) = (proxy.cpu()?.saturating_sub(cpu), since.elapsed().as_secs_f64());
    let each = with.saturating_sub(before) / count as u64;
    let milliseconds = cpu.as_secs_f64() * 1e4 / seconds;
    println!("| {name} | {} | {} | {each} | {milliseconds:.0} |", before / 1024, with / 1024);
    drop(held);
    Ok(())
}

/// Waits until a proxy has hardly anything to do any more.
fn settle(proxy: &Running) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let before = proxy.cpu()?;
        sleep(Duration::from_secs(1));
        if proxy.cpu()?.saturating_sub(before) < Duration::from_millis(50) {
            return Ok(());
        }
        if started.elapsed() > Duration::from_mins(1) {
            return Err("the proxy does not come to rest".to_owned());
        }
    }
}
