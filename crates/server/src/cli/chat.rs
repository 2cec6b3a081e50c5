//! `antiphon chat`: a conversation in writing with the configured language model.

use std::io::{BufRead, IsTerminal, Write};

use antiphon_core::{ChatDelta, ChatRequest, Llm, Message, Requester, Role};
use antiphon_stack::config::Config;
use antiphon_stack::{self as stack, BuildContext};
use anyhow::Result;
use futures_util::StreamExt;

use super::runtime;
use crate::logging::start_logging;

/// Chat in writing with the agent's language model: one answer to TEXT, or a conversation on the terminal.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antiphon chat \"What is the capital of France?\"\n  antiphon chat")]
pub(super) struct ChatArguments {
    /// What to ask; without it, lines are read from standard input.
    text: Option<String>,
}

pub(super) fn run(arguments: &ChatArguments, config: &Config) -> Result<()> {
    start_logging(config, Some("warn"))?;
    let stack = stack::build(config, &BuildContext::default())?;
    let llm = stack.engines.llm.as_ref();
    let runtime = runtime()?;
    let mut messages = vec![Message::new(Role::System, config.agent.instructions.clone())];
    if let Some(text) = &arguments.text {
        messages.push(Message::new(Role::User, text.clone()));
        return runtime.block_on(answer(llm, &mut messages));
    }
    let stdin = std::io::stdin();
    let prompt = || {
        if stdin.is_terminal() {
            eprint!("> ");
        }
    };
    prompt();
    for line in stdin.lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            messages.push(Message::new(Role::User, line));
            runtime.block_on(answer(llm, &mut messages))?;
        }
        prompt();
    }
    Ok(())
}

/// Streams the answer to standard output, and adds it to the conversation.
async fn answer(llm: &dyn Llm, messages: &mut Vec<Message>) -> Result<()> {
    let mut out = std::io::stdout();
    let mut text = String::new();
    let mut deltas = llm.chat(ChatRequest::new(Requester::local(), messages.clone()));
    while let Some(delta) = deltas.next().await {
        if let ChatDelta::Text(delta) = delta? {
            write!(out, "{delta}")?;
            out.flush()?;
            text.push_str(&delta);
        }
    }
    writeln!(out)?;
    messages.push(Message::new(Role::Assistant, text));
    Ok(())
}
