//! Links resources into a mesh and lowers it, per proxy, to routes of predicates.

pub mod program;
