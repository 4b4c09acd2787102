//! `malha lsp` as editors use it: the real server, over its protocol.

mod actions;
mod client;
#[path = "../support/command.rs"]
mod command;
mod completion;
mod definition;
mod hover;
mod session;
mod typing;
