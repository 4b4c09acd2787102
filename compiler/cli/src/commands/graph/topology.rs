//! The graph that is drawn: nodes in columns, from the way in on the left to the workloads on the right.

use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef as _,
};
use std::collections::BTreeSet;

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// A port of a gateway, or of the clients in the mesh.
    Entry,
    /// A virtual host, or the server names of a connection.
    Host,
    /// A rule of a VirtualService.
    Rule,
    /// A rule of a delegate.
    Delegate,
    /// A DestinationRule.
    Policy,
    /// A service, or a subset of one.
    Service,
    /// A service that a ServiceEntry declares, or a subset of one.
    ServiceEntry,
    /// Where requests end: a workload, or an address.
    Workload,
}

/// How much a node or an edge matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Live,
    /// No request comes here.
    Dead,
    /// Requests are sent here, and there is nothing.
    Missing,
}

/// Something in the mesh.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// What it is called, line by line.
    pub(super) lines: Vec<String>,
    /// By which names it is found.
    pub(super) names: BTreeSet<String>,
    pub(super) state: State,
}

/// How one node leads to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EdgeKind {
    /// Requests go there.
    Request,
    /// Copies of requests go there.
    Mirror,
    /// A DestinationRule says how requests are sent there.
    Policy,
}

/// A line from one node to another.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) kind: EdgeKind,
    /// Shares and ports; may be empty.
    pub(super) label: String,
    pub(super) state: State,
}

/// What is drawn. Every edge leads to a later column.
#[derive(Clone, Debug, Default)]
pub(super) struct Topology(pub(super) DiGraph<Node, Edge>);

impl NodeKind {
    /// The column that it stands in.
    pub(super) fn column(self) -> usize {
        match self {
            NodeKind::Entry => 0,
            NodeKind::Host => 1,
            NodeKind::Rule => 2,
            NodeKind::Delegate | NodeKind::Policy => 3,
            NodeKind::Service | NodeKind::ServiceEntry => 4,
            NodeKind::Workload => 5,
        }
    }

    /// A word for it, as formats name classes.
    pub(super) fn word(self) -> &'static str {
        match self {
            NodeKind::Entry => "entry",
            NodeKind::Host => "host",
            NodeKind::Rule => "rule",
            NodeKind::Delegate => "delegate",
            NodeKind::Policy => "policy",
            NodeKind::Service => "service",
            NodeKind::ServiceEntry => "external",
            NodeKind::Workload => "workload",
        }
    }

    /// Every kind, in the order of the columns.
    pub(super) const ALL: [NodeKind; 8] = [
        NodeKind::Entry,
        NodeKind::Host,
        NodeKind::Rule,
        NodeKind::Delegate,
        NodeKind::Policy,
        NodeKind::Service,
        NodeKind::ServiceEntry,
        NodeKind::Workload,
    ];

    /// Fill and outline.
    pub(super) fn colours(self) -> (&'static str, &'static str) {
        match self {
            NodeKind::Entry => ("#dbeafe", "#1d4ed8"),
            NodeKind::Host => ("#e0f2fe", "#0369a1"),
            NodeKind::Rule => ("#fef9c3", "#a16207"),
            NodeKind::Delegate => ("#ffedd5", "#c2410c"),
            NodeKind::Policy => ("#f3e8ff", "#7e22ce"),
            NodeKind::Service => ("#dcfce7", "#15803d"),
            NodeKind::ServiceEntry => ("#ccfbf1", "#0f766e"),
            NodeKind::Workload => ("#f8fafc", "#475569"),
        }
    }
}

impl State {
    /// Fill and outline that take the place of those of the kind; none: it looks as its kind does.
    pub(super) fn colours(self) -> Option<(&'static str, &'static str)> {
        match self {
            State::Live => None,
            State::Dead => Some(("#f1f1f1", "#9ca3af")),
            State::Missing => Some(("#fee2e2", "#b91c1c")),
        }
    }
}

impl Topology {
    /// What leads to the nodes of this name, and what they lead to; none: there is no such node.
    pub(super) fn around(&self, name: &str) -> Option<Topology> {
        let called = |index: &NodeIndex| self.0.node_weight(*index).is_some_and(|node| node.names.contains(name));
        let centre: Vec<NodeIndex> = self.0.node_indices().filter(called).collect();
        if centre.is_empty() {
            return None;
        }
        let kept: BTreeSet<NodeIndex> =
            &self.reached(&centre, Direction::Incoming) | &self.reached(&centre, Direction::Outgoing);
        Some(Topology(
            self.0.filter_map(|index, node| kept.contains(&index).then(|| node.clone()), |_, edge| Some(edge.clone())),
        ))
    }

    fn reached(&self, from: &[NodeIndex], direction: Direction) -> BTreeSet<NodeIndex> {
        let mut reached = BTreeSet::new();
        let mut open = from.to_vec();
        while let Some(node) = open.pop() {
            if reached.insert(node) {
                open.extend(self.0.neighbors_directed(node, direction));
            }
        }
        reached
    }

    /// The nodes with their numbers, in order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.0.node_weights().enumerate()
    }

    /// The edges with the numbers of what they join, in order.
    pub(super) fn edges(&self) -> impl Iterator<Item = (usize, usize, &Edge)> {
        self.0.edge_references().map(|edge| (edge.source().index(), edge.target().index(), edge.weight()))
    }
}
