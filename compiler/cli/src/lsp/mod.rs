//! The language server: one loop, which takes what the editor sends, keeps the meshes up to date, and answers.

mod actions;
mod completion;
mod cursor;
mod definition;
mod diagnostics;
mod documents;
mod fields;
mod hover;
mod meshes;
mod positions;
mod references;
mod server;
mod uri;

pub(crate) use server::serve;
