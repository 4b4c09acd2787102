//! The `malha` command.

use malha::{args::Cli, failure::Status};
use std::{panic, process::ExitCode};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::read();
    match panic::catch_unwind(|| malha::run(&cli)) {
        Ok(Ok(Status::Clean)) => ExitCode::SUCCESS,
        Ok(Ok(Status::Findings)) => ExitCode::from(1),
        Ok(Ok(Status::Incomplete)) => ExitCode::from(2),
        Ok(Ok(Status::Of(status))) => ExitCode::from(status),
        Ok(Err(failure)) => {
            eprintln!("malha: {failure}");
            ExitCode::from(2)
        }
        Err(_) => {
            eprintln!("malha: this is a defect of malha itself; please report it with the lines above");
            ExitCode::from(2)
        }
    }
}
