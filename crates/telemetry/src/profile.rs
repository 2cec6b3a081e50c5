//! Profiles: how CPU time and heap memory divide among functions, components and calls.
//!
//! While no profile is taken, none of this runs and nothing is kept.

mod cpu;
mod flame;
mod heap;
mod modules;
#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    path = "profile/no_signal.rs"
)]
mod signal;
mod symbols;

use std::collections::HashMap;

use antiphon_core::measure::account::Tag;
use serde::{Deserialize, Serialize};

pub use cpu::{CpuSampler, HERTZ};
pub use heap::HeapSampler;

/// Most rows of a table of functions, and edges of a call graph.
const MAX_ROWS: usize = 100;
/// Most different stacks that are kept of one profile; rarer ones are left out.
const MAX_STACKS: usize = 20_000;

/// Why a profile could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Another profile is being taken.
    #[error("another profile is being taken; try again when it is done")]
    Busy,
    /// Profiles cannot be taken on this system.
    #[error("profiles are taken on Linux (x86-64 and aarch64) only")]
    Unsupported,
    /// The allocator cannot sample allocations.
    #[error("this program's allocator cannot be profiled: {0}")]
    Allocator(String),
    /// The operating system refused something.
    #[error("cannot profile: {0}")]
    System(std::io::Error),
}

impl From<std::io::Error> for ProfileError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::Unsupported => Self::Unsupported,
            _ => Self::System(error),
        }
    }
}

/// What a profile measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// CPU time, by samples.
    Cpu,
    /// Bytes that were allocated while the profile was taken and not freed.
    Heap,
}

/// A profile that is finished, for a page, a table or a flame graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// Whether CPU time or memory was measured.
    pub kind: Kind,
    /// How long samples were taken, in seconds.
    pub duration_s: f64,
    /// `samples` or `bytes`: the unit of all weights.
    pub unit: String,
    /// The sum of all weights.
    pub total: u64,
    /// For CPU, samples in a second of CPU time. For the heap, the mean distance in bytes between sampled allocations.
    pub rate: u64,
    /// Samples that were lost because the buffer was full.
    pub lost: u64,
    /// The components, the largest first.
    pub components: Vec<ProfileShare>,
    /// The calls, the largest first. Work that was done for no call is left out.
    pub calls: Vec<ProfileShare>,
    /// The functions, those with the largest weight of their own first.
    pub top: Vec<Function>,
    /// Which function calls which, the largest weight first.
    pub call_graph: Vec<Edge>,
    /// For the heap, the allocation sites that grew in every part of the profile, the fastest first.
    pub suspects: Vec<Suspect>,
    /// Stacks, the outermost function first, as `a;b;c weight`: the usual input of flame graphs.
    pub folded: Vec<String>,
}

/// The part of a profile that belongs to one component or call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileShare {
    /// Name of the component, or id of the call.
    pub name: String,
    /// Weight in the profile's unit.
    pub weight: u64,
    /// Share of the total, 0 to 1.
    pub share: f64,
}

/// The part of a profile that belongs to one function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// The function's demangled name, with the path of its module.
    pub name: String,
    /// File and line, where known.
    pub location: Option<String>,
    /// Weight in the function itself.
    pub own: u64,
    /// Weight in the function and in the functions it calls.
    pub total: u64,
    /// Share of `own` in the profile's total, 0 to 1.
    pub share: f64,
}

/// A function that calls another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The name of the function that makes the call.
    pub caller: String,
    /// The function that is called.
    pub callee: String,
    /// Weight in the callee when it is called from this caller.
    pub weight: u64,
}

/// An allocation site that may leak memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// The innermost function on the stack that is not the standard library's.
    pub site: String,
    /// How fast its memory grows, in bytes a second.
    pub bytes_per_s: f64,
    /// Bytes that it allocated during the profile and still holds.
    pub bytes: u64,
    /// A stack that leads to it, the innermost function first.
    pub stack: Vec<String>,
}

/// A sampled stack: the tag of the thread's work, and the return addresses, the innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Stack {
    tag: Tag,
    thread: u32,
    addresses: Vec<u64>,
}

/// Sampled stacks with their weights, and the names of the threads.
struct Weights {
    stacks: HashMap<Stack, u64>,
    threads: HashMap<u32, String>,
}

impl Weights {
    /// Looks up the names and sums up the weights; only of `component`, if one is named. `call` maps a call's number
    /// to its id.
    fn profile(&self, kind: Kind, component: Option<&str>, call: impl Fn(u32) -> Option<String>) -> Profile {
        let named =
            symbols::Symbols::new(self.stacks.keys().flat_map(|stack| stack.addresses.iter().copied()));
        let mut sums = Sums::default();
        let mut stacks: Vec<(&Stack, u64)> =
            self.stacks.iter().map(|(stack, weight)| (stack, *weight)).collect();
        stacks.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        for (stack, weight) in stacks.into_iter().take(MAX_STACKS) {
            let thread = self.threads.get(&stack.thread).map_or("thread", String::as_str);
            let of = stack.tag.component().unwrap_or(thread);
            if component.is_some_and(|wanted| wanted != of) {
                continue;
            }
            let frames: Vec<&symbols::Frame> =
                stack.addresses.iter().filter_map(|at| named.frame(*at)).collect();
            let frames = match kind {
                Kind::Cpu => &frames[..],
                Kind::Heap => heap::from_site(&frames),
            };
            sums.add(of, frames, weight);
            if stack.tag.call != 0 {
                let name = call(stack.tag.call).unwrap_or_else(|| format!("call {} (over)", stack.tag.call));
                *sums.calls.entry(name).or_default() += weight;
            }
        }
        sums.profile(kind)
    }
}

#[derive(Default)]
struct Sums {
    total: u64,
    components: HashMap<String, u64>,
    calls: HashMap<String, u64>,
    functions: HashMap<String, Function>,
    edges: HashMap<(String, String), u64>,
    folded: HashMap<String, u64>,
}

impl Sums {
    /// Adds a stack; `frames` begins with the innermost.
    fn add(&mut self, component: &str, frames: &[&symbols::Frame], weight: u64) {
        self.total += weight;
        *self.components.entry(component.to_owned()).or_default() += weight;
        let mut seen: Vec<&str> = Vec::new();
        for (depth, frame) in frames.iter().enumerate() {
            let function = self.functions.entry(frame.name.clone()).or_insert_with(|| Function {
                name: frame.name.clone(),
                location: frame.location.clone(),
                own: 0,
                total: 0,
                share: 0.0,
            });
            if depth == 0 {
                function.own += weight;
            }
            // A recursive function counts once for each stack.
            if !seen.contains(&frame.name.as_str()) {
                seen.push(&frame.name);
                function.total += weight;
            }
        }
        for pair in frames.windows(2) {
            let [callee, caller] = pair else { continue };
            *self.edges.entry((caller.name.clone(), callee.name.clone())).or_default() += weight;
        }
        let names = frames.iter().rev().map(|frame| frame.name.as_str());
        let line: Vec<String> =
            std::iter::once(component).chain(names).map(|name| name.replace(';', ":")).collect();
        *self.folded.entry(line.join(";")).or_default() += weight;
    }

    fn profile(self, kind: Kind) -> Profile {
        let total = self.total;
        let share = |weight: u64| if total == 0 { 0.0 } else { weight as f64 / total as f64 };
        let shares = |sums: HashMap<String, u64>| {
            let mut shares: Vec<ProfileShare> = sums
                .into_iter()
                .map(|(name, weight)| ProfileShare { name, weight, share: share(weight) })
                .collect();
            shares.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
            shares.truncate(MAX_ROWS);
            shares
        };
        let mut top: Vec<Function> = self.functions.into_values().collect();
        for function in &mut top {
            function.share = share(function.own);
        }
        top.sort_by(|a, b| (b.own, b.total).cmp(&(a.own, a.total)).then_with(|| a.name.cmp(&b.name)));
        top.truncate(MAX_ROWS);
        let edges = self.edges.into_iter();
        let mut call_graph: Vec<Edge> =
            edges.map(|((caller, callee), weight)| Edge { caller, callee, weight }).collect();
        call_graph.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.caller.cmp(&b.caller)));
        call_graph.truncate(MAX_ROWS);
        let mut folded: Vec<String> =
            self.folded.into_iter().map(|(stack, weight)| format!("{stack} {weight}")).collect();
        folded.sort();
        Profile {
            kind,
            duration_s: 0.0,
            unit: match kind {
                Kind::Cpu => "samples".to_owned(),
                Kind::Heap => "bytes".to_owned(),
            },
            total,
            rate: 0,
            lost: 0,
            components: shares(self.components),
            calls: shares(self.calls),
            top,
            call_graph,
            suspects: Vec::new(),
            folded,
        }
    }
}
