//! Requests by the line.

use super::build;
use crate::{
    args::RouteArgs,
    commands::refusals,
    failure::{Failure, Status},
    inputs::Inputs,
    terminal,
    workspace::Workspace,
};
use malha_table::{Decision, Request, Table};
use rayon::prelude::*;
use serde::Serialize;
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// One line of the answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Decision(Box<Decision>),
    Error { error: String },
}

/// Reads one request a line and prints one decision a line, in the same order.
pub(super) fn route(args: &RouteArgs, batch: &Path) -> Result<Status, Failure> {
    let text = read(batch)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let requests: Vec<Result<Request, String>> = lines.map(parse).collect();
    let paths: Vec<PathBuf> = args.arguments.iter().map(PathBuf::from).collect();
    let mut workspace = Workspace::open(Inputs::find(&paths)?.mesh_alone()?)?;
    let mesh = workspace.link()?;
    let understood: Vec<Request> = requests.iter().flatten().cloned().collect();
    let (program, table) = build(&mut workspace, &mesh, &understood)?;
    refusals::tell(&workspace, &mesh, &program);
    let answers: Vec<Answer> = requests.par_iter().map(|request| answer(request, &table, args.seed)).collect();
    let mut out = Vec::new();
    for answer in &answers {
        serde_json::to_writer(&mut out, answer)
            .map_err(|error| Failure::new(format!("a decision cannot be written: {error}")))?;
        out.push(b'\n');
    }
    terminal::print(&out)?;
    let failed = answers.iter().any(|answer| matches!(answer, Answer::Error { .. }));
    Ok(if failed { Status::Incomplete } else { Status::Clean })
}

fn answer(request: &Result<Request, String>, table: &Table, seed: u64) -> Answer {
    let decided = match request {
        Ok(request) => table.decide(request, seed).map_err(|error| error.to_string()),
        Err(error) => Err(error.clone()),
    };
    match decided {
        Ok(decision) => Answer::Decision(Box::new(decision)),
        Err(error) => Answer::Error { error },
    }
}

fn parse(line: &str) -> Result<Request, String> {
    serde_json::from_str(line).map_err(|error| format!("not a request: {error}"))
}

fn read(batch: &Path) -> Result<String, Failure> {
    if batch.as_os_str() != "-" {
        return fs::read_to_string(batch).map_err(|error| Failure::path(batch, &error));
    }
    let mut text = String::new();
    let read = io::stdin().lock().read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("the standard input cannot be read: {error}")))?;
    Ok(text)
}
