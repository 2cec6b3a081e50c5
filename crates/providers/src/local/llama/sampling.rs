//! How the next token of a reply is chosen.

use antiphon_core::{ChatRequest, Error, Result};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;

use super::LlamaOptions;
use super::tools::Grammar;

/// Tokens for which repetition is penalised, llama.cpp's default: a very small model repeats itself otherwise.
const REPEAT_WINDOW: i32 = 64;
/// The penalty of a repeated token, light enough that lists are possible.
const REPEAT_PENALTY: f32 = 1.1;
/// Sampling is limited to the most likely tokens with this total probability.
const TOP_P: f32 = 0.9;

/// The sampler for the reply to a request. Without a seed of its own, a request is sampled with `step` as the seed.
pub(super) fn sampler(
    model: &LlamaModel,
    options: &LlamaOptions,
    chat: &ChatRequest,
    step: u64,
) -> Result<LlamaSampler> {
    let grammar = Grammar::of(&chat.tools, &chat.tool_choice)?;
    let grammar = grammar.map(|grammar| grammar_sampler(model, &grammar)).transpose()?;
    let chain = grammar.into_iter().chain(samplers(model, options, chat, step));
    Ok(LlamaSampler::chain_simple(chain))
}

fn grammar_sampler(model: &LlamaModel, grammar: &Grammar) -> Result<LlamaSampler> {
    let sampler = if grammar.lazy {
        LlamaSampler::grammar_lazy_patterns(model, &grammar.text, "root", &[Grammar::TRIGGER.to_owned()], &[])
    } else {
        LlamaSampler::grammar(model, &grammar.text, "root")
    };
    sampler.map_err(|e| Error::invalid(format!("the tools' parameters make no usable grammar: {e}")))
}

fn samplers(model: &LlamaModel, options: &LlamaOptions, chat: &ChatRequest, step: u64) -> Vec<LlamaSampler> {
    let temperature = chat.temperature.unwrap_or(options.temperature);
    let penalties =
        LlamaSampler::penalties(model.vocab().n_tokens(), REPEAT_WINDOW, REPEAT_PENALTY, 0.0, 0.0);
    if temperature <= 0.0 {
        return vec![penalties, LlamaSampler::greedy()];
    }
    vec![
        penalties,
        LlamaSampler::top_p(chat.top_p.unwrap_or(TOP_P), 1),
        LlamaSampler::temp(temperature),
        LlamaSampler::dist(chat.seed.unwrap_or(step) as u32),
    ]
}
