//! How the next token of a reply is chosen.

use antiphon_core::{ChatRequest, Error, Result};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use super::LlamaOptions;
use super::grammar::Grammar;

/// Tokens for which repetition is penalised, llama.cpp's default: a very small model repeats itself otherwise.
const REPEAT_WINDOW: i32 = 64;
/// The penalty of a repeated token, light enough that lists are possible.
const REPEAT_PENALTY: f32 = 1.1;
/// Sampling is limited to the most likely tokens with this total probability.
const TOP_P: f32 = 0.9;

/// Chooses the tokens of one reply.
pub(super) struct Sampler {
    /// What must be written, if that is prescribed.
    grammar: Option<LlamaSampler>,
    chain: LlamaSampler,
    /// The model's tokens with their likelihood, kept so that they are not allocated for every token.
    candidates: LlamaTokenDataArray,
}

impl Sampler {
    /// The sampler for the reply to a request. Without a seed of its own, a request is sampled with `step` as the seed.
    pub(super) fn new(
        model: &LlamaModel,
        options: &LlamaOptions,
        chat: &ChatRequest,
        step: u64,
    ) -> Result<Self> {
        let grammar = Grammar::of(&chat.tools, &chat.tool_choice, &chat.form)?;
        Ok(Self {
            grammar: grammar.map(|grammar| grammar_sampler(model, &grammar)).transpose()?,
            chain: LlamaSampler::chain_simple(samplers(model, options, chat, step)),
            candidates: LlamaTokenDataArray::new(Vec::new(), false),
        })
    }

    /// Chooses the token behind the one at this place of the batch. `None` where the grammar admits no token that the model
    /// has, such as one with a rare character: llama.cpp would take any, and end the process.
    pub(super) fn sample(&mut self, context: &LlamaContext<'_>, at: i32) -> Option<LlamaToken> {
        let Self { grammar, chain, candidates } = self;
        candidates.data.clear();
        candidates.data.extend(context.candidates_ith(at));
        (candidates.selected, candidates.sorted) = (None, false);
        if let Some(grammar) = grammar {
            candidates.apply_sampler(grammar);
            if candidates.data.iter().all(|candidate| candidate.logit() == f32::NEG_INFINITY) {
                return None;
            }
        }
        candidates.apply_sampler(chain);
        let token = candidates.selected_token()?;
        for sampler in grammar.iter_mut().chain([chain]) {
            sampler.accept(token);
        }
        Some(token)
    }
}

fn grammar_sampler(model: &LlamaModel, grammar: &Grammar) -> Result<LlamaSampler> {
    let sampler = if grammar.lazy {
        LlamaSampler::grammar_lazy_patterns(model, &grammar.text, "root", &[Grammar::TRIGGER.to_owned()], &[])
    } else {
        LlamaSampler::grammar(model, &grammar.text, "root")
    };
    sampler.map_err(|e| Error::invalid(format!("the schemas make no usable grammar: {e}")))
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
