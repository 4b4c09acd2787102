//! What two programs treat differently: the requests, not the lines.

mod connections;
mod hosts;

use super::entrance::identity;
use crate::ProxySpec;
use crate::program::{Listener, Program, Proxy, Role};
use malha_table::{ProxyIdentity, Request};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// How the treatment of some requests changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing took them, and now something does.
    Added,
    /// Something took them, and now nothing does.
    Removed,
    /// They go elsewhere, or arrive otherwise.
    Rerouted,
    /// They go where they went: weights, time-outs, retries and the like differ.
    Policy,
}

/// Requests of one virtual host whose treatment changes in one way.
#[derive(Clone, Debug)]
pub struct Change {
    /// How.
    pub class: Class,
    /// Who executes.
    pub role: Role,
    /// Who executes.
    pub proxy: ProxyIdentity,
    /// Port of the listener.
    pub port: u32,
    /// Protocol of the listener.
    pub protocol: SmolStr,
    /// The virtual host, or the server name.
    pub host: String,
    /// The requests, in words.
    pub region: String,
    /// One of them; none if no client can send one.
    pub request: Option<Request>,
}

/// What `new` treats otherwise than `old`, in order of proxy, listener, host.
pub fn differences(old: &Program, new: &Program) -> Vec<Change> {
    let mut changes = Vec::new();
    let names: BTreeSet<Name<'_>> = old.proxies.iter().chain(&new.proxies).map(Name::of).collect();
    for name in names {
        let find = |program: &'_ Program| -> Option<usize> {
            program.proxies.iter().position(|proxy| Name::of(proxy) == name)
        };
        let before = find(old).and_then(|at| old.proxies.get(at));
        let after = find(new).and_then(|at| new.proxies.get(at));
        let sides = Sides { old: Side::of(old, before), new: Side::of(new, after) };
        sides.compare(&mut changes);
    }
    changes
}

/// What makes two proxies the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name<'p> {
    role: Role,
    namespace: &'p str,
    labels: Vec<(&'p str, &'p str)>,
}

impl<'p> Name<'p> {
    fn of(proxy: &'p Proxy) -> Self {
        let labels = proxy.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Name { role: proxy.role, namespace: &proxy.namespace, labels: labels.collect() }
    }
}

/// One of the two programs, as one proxy executes it.
#[derive(Clone, Copy)]
struct Side<'p> {
    program: &'p Program,
    /// None: there is no such proxy.
    proxy: Option<&'p Proxy>,
}

struct Sides<'p> {
    old: Side<'p>,
    new: Side<'p>,
}

impl<'p> Side<'p> {
    fn of(program: &'p Program, proxy: Option<&'p Proxy>) -> Self {
        Side { program, proxy }
    }

    fn listeners(self) -> &'p [Listener] {
        self.proxy.map_or(&[], |proxy| &proxy.program.listeners)
    }

    fn listener(self, port: u32, bind: Option<&SmolStr>) -> Option<&'p Listener> {
        self.listeners().iter().find(|listener| listener.port == port && listener.bind.as_ref() == bind)
    }
}

impl Sides<'_> {
    fn compare(&self, changes: &mut Vec<Change>) {
        let keys: BTreeSet<(u32, Option<&SmolStr>)> = self
            .old
            .listeners()
            .iter()
            .chain(self.new.listeners())
            .map(|listener| (listener.port, listener.bind.as_ref()))
            .collect();
        for (port, bind) in keys {
            let (old, new) = (self.old.listener(port, bind), self.new.listener(port, bind));
            let Some(any) = new.or(old) else { continue };
            let Some(proxy) = self.new.proxy.or(self.old.proxy) else { continue };
            let frame = Frame { role: proxy.role, proxy: identity(&spec(proxy)), listener: any };
            hosts::compare(self, old, new, &frame, changes);
            connections::compare(self, old, new, &frame, changes);
        }
    }
}

fn spec(proxy: &Proxy) -> ProxySpec {
    let (role, namespace, name) = (proxy.role, proxy.namespace.clone(), proxy.name.clone());
    ProxySpec { role, namespace, name, labels: proxy.labels.clone() }
}

/// Where changes are.
struct Frame<'p> {
    role: Role,
    proxy: ProxyIdentity,
    listener: &'p Listener,
}

impl Frame<'_> {
    fn change(&self, class: Class, host: String, region: String, request: Option<Request>) -> Change {
        Change {
            class,
            role: self.role,
            proxy: self.proxy.clone(),
            port: self.listener.port,
            protocol: self.listener.protocol.clone(),
            host,
            region,
            request,
        }
    }
}
