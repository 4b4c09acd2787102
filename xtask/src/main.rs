//! Generators and chores: `cargo xtask TASK`.

mod bench;
mod corpus;
mod dist;
mod generated;
mod new_rule;
mod parts;
mod processes;
mod rules;
mod schemas;
mod scratch;

use std::process::ExitCode;

/// That of `malha-proxy`: what the bench compares differs in nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
usage: cargo xtask TASK

tasks:
  schemas [--check]   write schemas/*.json from the model; with --check only say whether they are up to date
  rules [--check]     write docs/rules/*.md from the lints; likewise
  new-rule CODE NAME GROUP
                      begin a lint: writes its file and registers it, as `new-rule R010 rule-unwise suspicious`
  corpus COUNT        print a config repository of COUNT VirtualServices
  dist                build malha and malha-proxy to hand to others, in target/programs; the proxy by a profile of
                      what it does under load, for which llvm-profdata, curl and openssl have to be there
  bench [NAME]...     build these, and measure, as ratios within one run: compile, proxy, tcp, connections,
                      reload, rules";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["schemas"] => schemas::files().and_then(|files| generated::write(&files)),
        ["schemas", "--check"] => schemas::files().and_then(|files| generated::check(&files, "schemas")),
        ["rules"] => generated::write(&rules::files()),
        ["rules", "--check"] => generated::check(&rules::files(), "rules"),
        ["new-rule", code, name, group] => begin_rule(code, name, group),
        ["corpus", count] => print_corpus(count),
        [parts::TASK, part @ ..] => parts::run(part),
        [bench::rules::TASK] => {
            bench::rules::measure();
            Ok(())
        }
        ["dist"] => dist::build().map(|directory| println!("malha and malha-proxy are in {}", directory.display())),
        ["bench", ..] => bench::run(arguments.get(1..).unwrap_or_default()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn begin_rule(code: &str, name: &str, group: &str) -> Result<(), String> {
    let file = new_rule::begin(&generated::folder("compiler/lint/src/rules"), code, name, group)?;
    println!("{} is yours: say what it finds, give it a bad and a good example, and find it", file.display());
    println!("then run `cargo test -p malha-lint` and `cargo xtask rules`");
    Ok(())
}

fn print_corpus(count: &str) -> Result<(), String> {
    let count = count.parse().map_err(|_| format!("`{count}` is not a number"))?;
    print!("{}", corpus::corpus(count));
    Ok(())
}
