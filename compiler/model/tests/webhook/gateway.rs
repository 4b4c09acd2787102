//! What is refused of a Gateway.

use super::Table;

pub(super) static TABLES: &[Table] = &[];
