//! Conjunctions of conditions, and requests, as the numbers of a space.

use smallvec::SmallVec;

/// One condition of the closed kind: some value of the axis passes the test, or none does.
///
/// The negation of a literal is a literal. An `absent` that a condition takes for an empty value is said by two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Literal {
    pub(super) axis: u32,
    pub(super) test: u32,
    pub(super) holds: bool,
}

impl std::ops::Not for Literal {
    type Output = Literal;

    fn not(self) -> Literal {
        Literal { holds: !self.holds, ..self }
    }
}

/// A conjunction of literals: for each axis a language. Sorted, without repetitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Product(SmallVec<[Literal; 6]>);

impl Literal {
    /// The number of its axis.
    pub(crate) fn axis(self) -> u32 {
        self.axis
    }
}

impl FromIterator<Literal> for Product {
    fn from_iter<I: IntoIterator<Item = Literal>>(literals: I) -> Product {
        let mut product = Product::all();
        for literal in literals {
            product.insert(literal);
        }
        product
    }
}

impl Product {
    /// All requests.
    pub fn all() -> Product {
        Product::default()
    }

    /// Its conditions.
    pub fn literals(&self) -> &[Literal] {
        &self.0
    }

    /// Demands one thing more; says whether it did not before.
    pub fn insert(&mut self, literal: Literal) -> bool {
        match self.0.binary_search(&literal) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, literal);
                true
            }
        }
    }

    /// Demands it no more.
    pub(crate) fn remove(&mut self, literal: Literal) {
        if let Ok(at) = self.0.binary_search(&literal) {
            self.0.remove(at);
        }
    }

    /// Its conditions on the axis of a literal.
    pub(super) fn beside(&self, literal: Literal) -> &[Literal] {
        let from = self.0.partition_point(|other| other.axis < literal.axis);
        let to = self.0.partition_point(|other| other.axis <= literal.axis);
        &self.0[from..to]
    }

    /// Both at once.
    #[must_use]
    pub fn and(&self, other: &Product) -> Product {
        let mut both = self.clone();
        for &literal in &other.0 {
            both.insert(literal);
        }
        both
    }
}

/// The values of one axis in one request: none where it is absent.
pub type Values = SmallVec<[Vec<u8>; 1]>;

/// One request, as the axes see it. An axis that it does not name has its plainest value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// By number of the axis.
    pub(super) values: Vec<(u32, Values)>,
    /// Path and query, where some test reads them as one.
    pub(super) target: Option<Vec<u8>>,
}

impl Point {
    /// The values of the axes that it says something of, by number.
    pub(crate) fn named(&self) -> impl Iterator<Item = (u32, &[Vec<u8>])> {
        self.values.iter().map(|(axis, values)| (*axis, values.as_slice()))
    }

    /// Whether it says something of an axis.
    pub(crate) fn names(&self, axis: u32) -> bool {
        self.get(axis).is_some()
    }

    pub(super) fn get(&self, axis: u32) -> Option<&Values> {
        self.values.binary_search_by_key(&axis, |(number, _)| *number).ok().map(|at| &self.values[at].1)
    }

    pub(super) fn set(&mut self, axis: u32, values: Values) {
        match self.values.binary_search_by_key(&axis, |(number, _)| *number) {
            Ok(at) => self.values[at].1 = values,
            Err(at) => self.values.insert(at, (axis, values)),
        }
    }
}
