//! The command line: what each command is called, and what it takes.

mod benchmark;
mod cache;
mod chat;
mod config;
mod doctor;
mod load;
mod models;
mod optimize;
mod performance;
mod profile;
mod remote;
mod say;
mod serve;
mod table;
mod talk;
mod transcribe;

use std::path::PathBuf;
use std::process::ExitCode;

use antiphon_stack::config::Config;
use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

/// A self-hosted server for spoken conversations: no key, no cloud, no network once it is set up.
#[derive(Parser)]
#[command(name = "antiphon", version, max_term_width = 100)]
struct Arguments {
    /// The configuration file; else ./antiphon.toml or the one in the user's configuration directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where models and data are kept, instead of [server] data_dir.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArguments),
    /// Hold a conversation on the local microphone, or from a recording to a file.
    Talk(talk::TalkArguments),
    /// Turn recordings into text.
    Transcribe(transcribe::TranscribeArguments),
    /// Say a text.
    Say(say::SayArguments),
    /// Chat in writing with the agent's language model.
    Chat(chat::ChatArguments),
    /// Check that everything the server needs is there and works.
    Doctor(doctor::DoctorArguments),
    /// Show what the steps of a turn take in the running server.
    Performance(performance::PerformanceArguments),
    /// Measure the components and the whole.
    Benchmark(benchmark::BenchmarkArguments),
    /// Find better settings for this machine.
    Optimize(optimize::OptimizeArguments),
    /// Load a server with calls that really speak.
    Load(load::LoadArguments),
    /// Look at, clear and fill the caches of the running server.
    Cache(cache::CacheArguments),
    /// Show where the running server's CPU time or memory goes.
    Profile(profile::ProfileArguments),
    /// List, fetch and check models.
    #[command(subcommand)]
    Models(models::Command),
    /// Show or check the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Print completions for a shell.
    Completions {
        /// The shell to print completions for.
        shell: clap_complete::Shell,
    },
}

/// Runs the program: exit code 0 when all went well, 1 when it failed, 2 when it was called wrongly.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("antiphon: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    if let Command::Completions { shell } = arguments.command {
        clap_complete::generate(shell, &mut Arguments::command(), "antiphon", &mut std::io::stdout());
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Config(command) = &arguments.command
        && command.describes()?
    {
        return Ok(ExitCode::SUCCESS);
    }
    let effective = antiphon_stack::config::load(arguments.config.as_deref(), arguments.data_dir.as_deref())?;
    // The server writes them to its log, which is where its operator looks.
    if !matches!(arguments.command, Command::Serve(_)) {
        for warning in &effective.warnings {
            eprintln!("antiphon: {warning}");
        }
    }
    let (config, file) = (&effective.config, arguments.config.as_deref());
    let done = match arguments.command {
        Command::Benchmark(arguments) => return benchmark::run(&arguments, config, file),
        Command::Config(command) => config::run(&command, &effective),
        Command::Models(command) => models::run(command, config),
        Command::Optimize(arguments) => optimize::run(&arguments, &effective, file),
        Command::Load(arguments) => load::run(&arguments, config),
        Command::Performance(arguments) => performance::run(&arguments, config),
        Command::Cache(arguments) => cache::run(&arguments, config),
        Command::Profile(arguments) => profile::run(&arguments, config),
        Command::Doctor(arguments) => doctor::run(&arguments, config),
        Command::Serve(arguments) => serve::run(&arguments, &effective),
        Command::Talk(arguments) => talk::run(&arguments, config),
        Command::Transcribe(arguments) => transcribe::run(&arguments, config),
        Command::Say(arguments) => say::run(&arguments, config),
        Command::Chat(arguments) => chat::run(&arguments, config),
        Command::Completions { .. } => Ok(()),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Prints a line of the command's result.
fn print(line: &str) {
    use std::io::Write;
    // A reader that has gone, as in `| head`, is not a failure of the command.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The runtime for commands that run engines.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// The runtime for calls, in the server and in benchmarks.
fn call_runtime(config: &Config) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.advanced.worker_threads {
        builder.worker_threads(threads);
    }
    Ok(builder.enable_all().build()?)
}
