//! Profiles: where the CPU's time and the heap's memory go, by function, component and call.
//!
//! Nothing of it runs, and nothing is kept, while no profile is taken.

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

/// Functions in a table, edges in a call graph.
const MAX_ROWS: usize = 100;
/// Different stacks kept of one profile; what is rarer is left out.
const MAX_STACKS: usize = 20_000;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Another one is being taken.
    #[error("another profile is being taken; try again when it is done")]
    Busy,
    /// Not on this system.
    #[error("profiles are taken on Linux (x86-64 and aarch64) only")]
    Unsupported,
    /// The allocator keeps no account.
    #[error("this program's allocator cannot be profiled: {0}")]
    Allocator(String),
    /// The system refused.
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

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Samples of the CPU's time.
    Cpu,
    /// Bytes allocated while the profile was taken, and not freed.
    Heap,
}

/// A profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// Of what.
    pub kind: Kind,
    /// How long it was taken.
    pub duration_s: f64,
    /// `samples` or `bytes`: the unit of all weights.
    pub unit: String,
    /// All of it.
    pub total: u64,
    /// CPU: samples a second of CPU time. Heap: the mean distance in bytes between sampled allocations.
    pub rate: u64,
    /// Samples for which there was no room.
    pub lost: u64,
    /// The most first.
    pub components: Vec<Share>,
    /// The most first; what was done for no call is left out.
    pub calls: Vec<Share>,
    /// Functions, those with the most of their own first.
    pub top: Vec<Function>,
    /// Who calls whom, the most first.
    pub call_graph: Vec<Edge>,
    /// Heap: allocation sites that grew in every part of the profile, the fastest first.
    pub suspects: Vec<Suspect>,
    /// Stacks, the outermost first, as `a;b;c weight`: what flame graphs are made of.
    pub folded: Vec<String>,
}

/// What one of many had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Whose.
    pub name: String,
    /// In the profile's unit.
    pub weight: u64,
    /// Of the total, 0 to 1.
    pub share: f64,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Demangled.
    pub name: String,
    /// File and line, where known.
    pub location: Option<String>,
    /// In it itself.
    pub own: u64,
    /// In it and in what it calls.
    pub total: u64,
    /// Its own, of the profile's total, 0 to 1.
    pub share: f64,
}

/// A function that calls another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// It.
    pub caller: String,
    /// The other.
    pub callee: String,
    /// In the other, from here.
    pub weight: u64,
}

/// Where memory is allocated that does not come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// The function nearest to the allocation that is not the standard library's.
    pub site: String,
    /// How fast it grows.
    pub bytes_per_s: f64,
    /// What it holds of what was allocated during the profile.
    pub bytes: u64,
    /// The stack, the innermost first.
    pub stack: Vec<String>,
}

/// A stack as sampled: who worked, and the return addresses, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Stack {
    tag: Tag,
    thread: u32,
    addresses: Vec<u64>,
}

/// Stacks and their weights, with the names that go with them.
struct Weights {
    stacks: HashMap<Stack, u64>,
    threads: HashMap<u32, String>,
}

impl Weights {
    /// Puts it into words; only what `component` did, if one is named. `call` names the call of a number.
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
    /// `frames`: innermost first.
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
            // A function that calls itself counts once a stack.
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
            let mut shares: Vec<Share> =
                sums.into_iter().map(|(name, weight)| Share { name, weight, share: share(weight) }).collect();
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
