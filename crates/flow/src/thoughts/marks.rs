//! The marks between which language models write their thoughts.
//!
//! They are what servers send that do not separate thoughts themselves, which is so for Ollama, vLLM, SGLang, mlx-lm, LM Studio
//! and llama.cpp unless they are told of the model's marks: see sgl-project/sglang#9190 and lmstudio-bug-tracker#2013.

/// What begins the reply proper in OpenAI's harmony format, and with it ends the thought before.
const FINAL: &str = "<|channel|>final<|message|>";

/// The marks that count at the beginning of an answer and of each line. In the middle of a line they are text about marks.
const MARKS: &[Mark] = &[
    // DeepSeek, Qwen, GLM, MiniMax and most other open models.
    Mark { open: "<think>", close: "</think>" },
    Mark { open: "<thinking>", close: "</thinking>" },
    // Gemma 3 and Gemini through OpenAI's API.
    Mark { open: "<thought>", close: "</thought>" },
    Mark { open: "<reasoning>", close: "</reasoning>" },
    // Gemma 4.
    Mark { open: "<|channel>thought", close: "<channel|>" },
    // gpt-oss, in OpenAI's harmony format. What it says to tools is not for the listener either.
    Mark { open: "<|channel|>analysis", close: FINAL },
    Mark { open: "<|channel|>commentary", close: FINAL },
    Mark { open: "<|start|>assistant<|channel|>analysis", close: FINAL },
    // Mistral's Magistral sends these.
    Mark { open: "[THINK]", close: "[/THINK]" },
    // Command A Reasoning.
    Mark { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
    Mark { open: "<seed:think>", close: "</seed:think>" },
    Mark { open: "<|begin_of_thought|>", close: "<|end_of_thought|>" },
    Mark { open: "◁think▷", close: "◁/think▷" },
];

/// The harmony format of a server that leaves its control tokens out: "analysisWe need to greet.assistantfinalHello."
const BARE: Mark = Mark { open: "analysis", close: "assistantfinal" };

/// What opens a thought, and what closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) open: &'static str,
    pub(super) close: &'static str,
}

/// What the beginning of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning<T> {
    /// It is this.
    Is(T),
    /// It may become a mark when more text comes.
    Unknown,
    /// It is no mark, whatever comes.
    Text,
}

/// Whether `text` begins with a mark that opens a thought.
pub(super) fn opening(text: &str) -> Beginning<Mark> {
    beginning(text, MARKS.iter().map(|mark| (mark.open, *mark)))
}

/// The same at the very beginning of an answer, where a mark may be a bare word.
pub(super) fn first_opening(text: &str) -> Beginning<Mark> {
    match text.strip_prefix(BARE.open).map(|rest| rest.chars().next()) {
        // No sentence begins like that: the thought follows without a space and with a capital letter.
        Some(Some(next)) if next.is_uppercase() => Beginning::Is(BARE),
        Some(None) => Beginning::Unknown,
        None if BARE.open.starts_with(text) => Beginning::Unknown,
        _ => opening(text),
    }
}

/// Whether `text` begins with a mark that closes a thought, and the mark's length.
pub(super) fn closing(text: &str) -> Beginning<usize> {
    beginning(text, MARKS.iter().map(|mark| (mark.close, mark.close.len())))
}

/// Whether a mark may begin with this character, so that not every character is compared with all marks.
pub(super) fn may_begin(c: char) -> bool {
    matches!(c, '<' | '[' | '◁')
}

fn beginning<T>(text: &str, mut known: impl Iterator<Item = (&'static str, T)> + Clone) -> Beginning<T> {
    if let Some((_, what)) = known.clone().find(|(mark, _)| text.starts_with(mark)) {
        return Beginning::Is(what);
    }
    if known.any(|(mark, _)| mark.starts_with(text)) { Beginning::Unknown } else { Beginning::Text }
}
