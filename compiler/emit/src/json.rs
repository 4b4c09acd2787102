//! A table as JSON, for people and for `compile --emit json`.
