//! Views of what a table holds: a reference to the table and a record in it.

mod action;
mod cluster;
mod host;
mod listener;
mod proxy;
mod rule;

pub use action::{
    Abort, Action, ActionKind, Cors, Delay, Destination, Fault, Forward, HashKey, HeaderOperation, HeaderOps, Mirror,
    PathRewrite, Redirect, Respond, Retries, ValueTest, ValueTestKind,
};
pub use cluster::{Cluster, Discovery, Endpoint, LoadBalancer, UpstreamProtocol};
pub use host::{Condition, Field, PathTest, Route, RouteTable, VirtualHost};
pub(crate) use listener::bind;
pub use listener::{Chain, Connection, Fallback, Filter, Listener, TcpRoute, Termination};
pub use proxy::{EgressProxy, Proxy};
pub use rule::{Location, Removed, Rule, Source};

use crate::{
    Table,
    format::{Range, Section},
};
use std::{fmt, iter::FusedIterator, marker::PhantomData};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// A view of one record of a section.
pub trait View<'t>: Sized {
    /// The record.
    type Record: FromBytes + Immutable + KnownLayout + 't;
    /// Where such records lie.
    const SECTION: Section;
    /// The view of a record; `index` is its place in the section.
    fn new(table: &'t Table, record: &'t Self::Record, index: u32) -> Self;
}

/// Consecutive records, as views.
pub struct Views<'t, V> {
    table: &'t Table,
    first: u32,
    end: u32,
    view: PhantomData<fn() -> V>,
}

impl<V> Clone for Views<'_, V> {
    fn clone(&self) -> Self {
        Views { table: self.table, first: self.first, end: self.end, view: PhantomData }
    }
}

impl<'t, V: View<'t>> Views<'t, V> {
    pub(crate) fn all(table: &'t Table) -> Self {
        let count = table.section::<V::Record>(V::SECTION).len() as u32;
        Views { table, first: 0, end: count, view: PhantomData }
    }

    pub(crate) fn range(table: &'t Table, range: Range) -> Self {
        let first = range.first.get();
        Views { table, first, end: first.saturating_add(range.count.get()), view: PhantomData }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.first) as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at `index`, counted from the first of these.
    pub fn get(&self, index: usize) -> Option<V> {
        if index >= self.len() {
            return None;
        }
        at(self.table, self.first.checked_add(u32::try_from(index).ok()?)?)
    }
}

impl<'t, V: View<'t>> Iterator for Views<'t, V> {
    type Item = V;

    fn next(&mut self) -> Option<V> {
        let view = self.get(0)?;
        self.first += 1;
        Some(view)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<'t, V: View<'t>> ExactSizeIterator for Views<'t, V> {}

impl<'t, V: View<'t>> FusedIterator for Views<'t, V> {}

impl<'t, V: View<'t> + fmt::Debug> fmt::Debug for Views<'t, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The view of the record at `index` of its section.
pub(crate) fn at<'t, V: View<'t>>(table: &'t Table, index: u32) -> Option<V> {
    let record = table.section::<V::Record>(V::SECTION).get(index as usize)?;
    Some(V::new(table, record, index))
}

/// Declares a view: a reference to the table, the record, and the record's index.
macro_rules! view {
    ($(#[$meta:meta])* $name:ident, $record:ident, $section:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'t> {
            pub(crate) table: &'t crate::Table,
            pub(crate) record: &'t crate::format::$record,
            index: u32,
        }

        impl<'t> crate::view::View<'t> for $name<'t> {
            type Record = crate::format::$record;
            const SECTION: crate::format::Section = crate::format::Section::$section;

            fn new(table: &'t crate::Table, record: &'t Self::Record, index: u32) -> Self {
                $name { table, record, index }
            }
        }

        impl<'t> $name<'t> {
            /// Its place among all of its kind in the table; it stays while the table does.
            pub fn index(&self) -> u32 {
                self.index
            }

            /// The table that it is in.
            pub fn table(&self) -> &'t crate::Table {
                self.table
            }
        }
    };
}
pub(crate) use view;
