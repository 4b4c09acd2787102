//! What two programs treat differently: the requests, not the lines.

mod clients;
mod connections;
mod effect;
mod hosts;
mod listeners;
mod paths;
mod sorts;
mod topology;

pub use clients::clients;

use super::entrance::identity;
use crate::ProxySpec;
use crate::interpret::connection;
use crate::program::{Bind, Listener, Program, Proxy, ProxyProgram, Role};
use malha_table::{Address, Meant, ProxyIdentity, Request};
use smol_str::SmolStr;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

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
    /// Port of the listener; 0: all ports that no listener has, or a socket.
    pub port: u32,
    /// Protocol of the listener; empty for ports that no listener has.
    pub protocol: SmolStr,
    /// The virtual host, or the server name; with the socket, where that is not an address.
    pub host: String,
    /// The requests, in words.
    pub region: String,
    /// One of them; none if no client can send one.
    pub request: Option<Request>,
    /// What a decision does not show of the difference.
    pub details: Vec<Detail>,
    /// How many other proxies treat the same requests otherwise in the same way.
    pub also: usize,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Detail {
    /// What it is, as `endpoints of outbound|80||web.default.svc.cluster.local`.
    pub what: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

/// What `new` treats otherwise than `old`, in order of proxy, listener, host.
///
/// What several proxies treat otherwise in the same way is told of the first of them: of sidecars, of that which nothing
/// is known of, if it is one of them.
pub fn differences(old: &Program, new: &Program) -> Vec<Change> {
    let names: BTreeSet<Name<'_>> = old.proxies.iter().chain(&new.proxies).map(Name::of).collect();
    let find = |program: &'_ Program, name: &Name<'_>| -> Option<usize> {
        program.proxies.iter().position(|proxy| Name::of(proxy) == *name)
    };
    let mut told = Told::default();
    // Proxies that are alike share their program.
    let mut compared: HashMap<(Option<*const ProxyProgram>, Option<*const ProxyProgram>), Vec<usize>> = HashMap::new();
    for name in names {
        let before = find(old, &name).and_then(|at| old.proxies.get(at));
        let after = find(new, &name).and_then(|at| new.proxies.get(at));
        let pointer = |proxy: Option<&Proxy>| proxy.map(|proxy| Arc::as_ptr(&proxy.program));
        let known = compared.entry((pointer(before), pointer(after))).or_default();
        if !known.is_empty() {
            for &at in known.iter() {
                told.changes[at].also += 1;
            }
            continue;
        }
        let sides = Sides { old: Side::of(old, before), new: Side::of(new, after) };
        *known = sides.compare(&mut told);
    }
    told.changes
}

/// The host of a change of connections that no host tells apart.
const ANY_CONNECTION: &str = "any connection";

/// Changes, each once.
#[derive(Default)]
struct Told {
    changes: Vec<Change>,
    by_what: HashMap<What, usize>,
}

/// What makes two changes of different proxies the same.
#[derive(PartialEq, Eq, Hash)]
struct What {
    class: Class,
    role: Role,
    port: u32,
    host: String,
    region: String,
    /// What was done with the requests, and what is.
    effects: String,
    details: Vec<Detail>,
}

impl Told {
    /// Tells a change; says where it is told. `host` is what tells it from others.
    fn tell(&mut self, change: Change, host: String, effects: String) -> usize {
        let what = What {
            class: change.class,
            role: change.role,
            port: change.port,
            host,
            region: change.region.clone(),
            effects,
            details: change.details.clone(),
        };
        let next = self.changes.len();
        match self.by_what.entry(what) {
            Entry::Occupied(known) => {
                let told = &mut self.changes[*known.get()];
                // Several addresses of one proxy are told once.
                told.also += usize::from(told.proxy != change.proxy);
                *known.get()
            }
            Entry::Vacant(new) => {
                new.insert(next);
                self.changes.push(change);
                next
            }
        }
    }
}

/// What makes two proxies the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name<'p> {
    role: Role,
    /// Something is known of it; else it comes first.
    is_special: bool,
    namespace: &'p str,
    labels: Vec<(&'p str, &'p str)>,
}

impl<'p> Name<'p> {
    fn of(proxy: &'p Proxy) -> Self {
        let labels = proxy.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let is_special = !proxy.labels.is_empty() || proxy.namespace != "default";
        Name { role: proxy.role, is_special, namespace: &proxy.namespace, labels: labels.collect() }
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

    /// The listener for what the other side may have one of its own for.
    fn listener(self, port: u32, bind: &Bind<SmolStr>) -> Option<&'p Listener> {
        let on_port = || self.listeners().iter().filter(|listener| listener.port == port);
        if let Some(name) = name_of(bind) {
            return connection::listener(self.proxy?, Meant::Name(name), port);
        }
        // What is for an address that no listener is bound to is for that which is bound to none.
        let bound = on_port().find(|listener| listener.bind == *bind);
        bound.or_else(|| on_port().find(|listener| listener.bind == Bind::Any))
    }
}

impl Sides<'_> {
    /// Tells what differs; says where.
    fn compare(&self, told: &mut Told) -> Vec<usize> {
        let mut places = Vec::new();
        let Some(proxy) = self.new.proxy.or(self.old.proxy) else { return places };
        let listeners = self.old.listeners().iter().chain(self.new.listeners());
        // By name first: what changes for any address with it is not told again.
        let (role, identity) = (proxy.role, identity(&spec(proxy)));
        let keys = listeners.map(|listener| (listener.port, !listener.goes_by_name(), &listener.bind));
        let keys: BTreeSet<(u32, bool, &Bind<SmolStr>)> = keys.collect();
        if self.old.proxy.is_some() && self.new.proxy.is_some() {
            let none = Listener::default();
            let mut frame =
                Frame { role, proxy: identity.clone(), listener: &none, name: None, told, places: Vec::new() };
            listeners::compare_others(self.old, self.new, &mut frame);
            places.append(&mut frame.places);
        }
        for (port, _, bind) in keys {
            let (old, new) = (self.old.listener(port, bind), self.new.listener(port, bind));
            // Rather one that is bound there: requests are sent to its address.
            let mut both = new.into_iter().chain(old);
            let Some(any) = both.clone().find(|listener| listener.bind == *bind).or(both.next()) else {
                continue;
            };
            let mut frame = Frame {
                role,
                proxy: identity.clone(),
                listener: any,
                name: bind.goes_by_name().then_some(bind),
                told,
                places: Vec::new(),
            };
            if !listeners::compare(old, new, &mut frame) {
                // Requests that come by name are routed as those that come by any address.
                if frame.name.is_none() {
                    paths::compare(self, old, new, &mut frame);
                    topology::compare(self, old, new, &mut frame);
                }
                connections::compare(self, old, new, &mut frame);
            }
            places.append(&mut frame.places);
        }
        places
    }
}

/// The name that stands for those by which connections come to a listener, where they come by names.
fn name_of(bind: &Bind<SmolStr>) -> Option<&str> {
    match bind {
        Bind::Service(name) => Some(name),
        Bind::OtherNames => Some(OTHER_NAME),
        Bind::Any | Bind::Address(_) | Bind::Socket(_) => None,
    }
}

/// One that no listener has.
const OTHER_NAME: &str = "unknown.example";

fn spec(proxy: &Proxy) -> ProxySpec {
    let (role, namespace, name) = (proxy.role, proxy.namespace.clone(), proxy.name.clone());
    ProxySpec { role, namespace, name, labels: proxy.labels.clone() }
}

/// Where changes are.
struct Frame<'p> {
    role: Role,
    proxy: ProxyIdentity,
    listener: &'p Listener,
    /// What its connections are told by, where that is names.
    name: Option<&'p Bind<SmolStr>>,
    told: &'p mut Told,
    /// Where those of this listener are told.
    places: Vec<usize>,
}

/// What is told of some requests.
#[derive(Default)]
struct Difference {
    host: String,
    region: String,
    request: Option<Request>,
    details: Vec<Detail>,
    /// What was done with the requests, and what is: not shown, but told apart.
    effects: String,
}

impl Frame<'_> {
    /// The address that its listener is bound to.
    fn address(&self) -> Option<Address> {
        self.listener.address().map(|ip| Address { ip: ip.to_string() })
    }

    /// A name that its connections are meant for.
    fn authority(&self) -> Option<String> {
        name_of(self.name?).map(str::to_owned)
    }

    fn tell(&mut self, class: Class, found: Difference) {
        let host = match self.name {
            Some(Bind::OtherNames) if found.host == ANY_CONNECTION => "any other name".to_owned(),
            Some(Bind::Service(name)) if found.host == ANY_CONNECTION => name.to_string(),
            _ => found.host.clone(),
        };
        // No request says at which socket it comes.
        let (host, request) = match &self.listener.bind {
            Bind::Socket(socket) => (format!("{host} at {socket}"), None),
            _ => (host, found.request),
        };
        let change = Change {
            class,
            role: self.role,
            proxy: self.proxy.clone(),
            port: self.listener.port,
            protocol: self.listener.protocol.clone(),
            host,
            region: found.region,
            request,
            details: found.details,
            also: 0,
        };
        let place = self.told.tell(change, found.host, found.effects);
        self.places.push(place);
    }
}
