//! Sets of requests, and their algebra.

use crate::{Literal, Point, Product, Search, Space};

/// A set of requests: a union of products.
///
/// Laws, for regions `a` and `b` of one space: no request is in both `a − b` and `b`; a request is in `(a − b) ∪ (a ∩ b)`
/// exactly if it is in `a`; a witness of `a` is in `a`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    products: Vec<Product>,
}

/// A region would fall into more products than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyProducts;

/// Regions of more products are given up.
const MOST_PRODUCTS: usize = 4096;

impl From<Product> for Region {
    fn from(product: Product) -> Region {
        Region { products: vec![product] }
    }
}

impl Region {
    /// No request.
    pub fn none() -> Region {
        Region::default()
    }

    /// Its products; they may overlap.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// The requests of either.
    #[must_use]
    pub fn union(mut self, other: Region) -> Region {
        self.products.extend(other.products);
        self.products.sort_unstable();
        self.products.dedup();
        self
    }

    /// The requests of both.
    ///
    /// # Errors
    /// It falls into too many products.
    pub fn intersection(&self, other: &Region, space: &mut Space) -> Result<Region, TooManyProducts> {
        let mut products = Vec::new();
        for one in &self.products {
            for two in &other.products {
                keep(one.and(two), space, &mut products)?;
            }
        }
        Ok(Region { products })
    }

    /// The requests of this one that are not of the other.
    ///
    /// # Errors
    /// It falls into too many products.
    pub fn minus(&self, other: &Region, space: &mut Space) -> Result<Region, TooManyProducts> {
        let mut left = self.products.clone();
        for taken in &other.products {
            let mut pieces = Vec::new();
            for product in &left {
                // All but the first of these hold and that one does not; all but the second ...: no piece overlaps another.
                let mut rest = product.clone();
                for &literal in taken.literals() {
                    keep(with(&rest, !literal), space, &mut pieces)?;
                    rest.insert(literal);
                }
            }
            left = pieces;
        }
        Ok(Region { products: left })
    }

    /// Whether the region holds no request; `None` if the limits do not let it be known.
    pub fn is_empty(&self, space: &mut Space) -> Option<bool> {
        match self.witness(space) {
            Search::Found(_) => Some(false),
            Search::Empty => Some(true),
            Search::Unknown => None,
        }
    }

    /// A request of the region.
    pub fn witness(&self, space: &mut Space) -> Search<Point> {
        let mut unknown = false;
        for product in &self.products {
            match space.point(product) {
                Search::Found(point) => return Search::Found(point),
                Search::Empty => {}
                Search::Unknown => unknown = true,
            }
        }
        if unknown { Search::Unknown } else { Search::Empty }
    }

    /// Whether a request is in the region.
    pub fn contains(&self, space: &mut Space, point: &Point) -> bool {
        self.products.iter().any(|product| space.contains(product, point))
    }

    /// The region in words.
    pub fn words(&self, space: &Space) -> String {
        let words: Vec<String> = self.products.iter().map(|product| space.words(product)).collect();
        if words.is_empty() { "no request".to_owned() } else { words.join("; or ") }
    }
}

fn with(product: &Product, literal: Literal) -> Product {
    let mut more = product.clone();
    more.insert(literal);
    more
}

fn keep(product: Product, space: &mut Space, products: &mut Vec<Product>) -> Result<(), TooManyProducts> {
    if !space.is_empty(&product) {
        products.push(product);
    }
    if products.len() > MOST_PRODUCTS { Err(TooManyProducts) } else { Ok(()) }
}
