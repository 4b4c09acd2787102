//! Predicates over requests, and the languages they denote.
//!
//! # The one predicate form
//!
//! A match of a route, whatever it says in YAML, is lowered once, to a [`Predicate`]: a test of the path, a conjunction
//! of [`Condition`]s on other fields of the request, and [`Static`] conditions on where the request is handled, which
//! lowering to a proxy evaluates away. A list of matches is a list of predicates, any of which may hold. The
//! interpreter, the table builder and every analysis read nothing else, so what one of them proves is what another
//! executes.
//!
//! ```
//! use malha_algebra::{Condition, PathTest, Predicate, ValueTest};
//!
//! let predicate = Predicate {
//!     path: PathTest::Prefix { value: "/foo".into(), ignore_case: false },
//!     conditions: vec![Condition::header("X-Version", ValueTest::Exact("2".into()))],
//!     ..Predicate::any()
//! };
//! assert_eq!(predicate.to_string(), r#"path prefix /foo, header x-version is "2""#);
//! ```
//!
//! # Languages
//!
//! Every test of a text denotes a language: the set of texts that pass. Regular expressions come in RE2's dialect, which
//! [`re2`] reads; [`Dfa`] is what becomes of them, alone or many at once, when they are to be run or compared.
//!
//! ```
//! use malha_algebra::{Dfa, re2::Pattern};
//!
//! let patterns = [Pattern::parse(r"/v\d+/.*")?, Pattern::parse("/v1/[a-z]+")?];
//! assert!(patterns[0].is_full_match(b"/v2/"));
//! let together = Dfa::many(&patterns, 1 << 20).expect("a small automaton");
//! assert_eq!(together.matches(b"/v1/users"), [0, 1]);
//! assert_eq!(together.matches(b"/v2/users"), [0]);
//! # Ok::<(), malha_algebra::re2::PatternError>(())
//! ```

mod describe;
mod dfa;
pub mod language;
mod list;
mod predicate;
pub mod re2;
mod region;
mod space;

pub use dfa::{Dfa, TooLarge};
pub use list::{Among, DEFAULT_BUDGET, List, Overlap, Reach};
pub use predicate::{Condition, Field, PathTest, Predicate, Static, ValueTest};
pub use region::{Region, TooManyProducts};
pub use space::{Axis, Literal, Point, Product, Search, Space, Values, World, WrittenHeader};
