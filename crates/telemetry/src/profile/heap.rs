//! Heap profiles: the memory that is allocated while the profile is taken and not freed, by allocation site, and the
//! sites that grow all the time.
//!
//! jemalloc samples allocations by size and remembers those that are alive (its `prof` options). The program must
//! have been started with `prof:true,prof_active:false`, which costs nothing until a profile is taken.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use antiphon_core::measure::account::Tag;
use tikv_jemalloc_ctl::raw;

use super::{Kind, Profile, ProfileError, Stack, Suspect, Weights, symbols};

/// Mean distance between sampled bytes, as a power of two: 64 KiB. It finds a leak of some kilobytes a second within
/// half a minute, and costs less than 1 % of the time that allocating takes.
const LG_SAMPLE: usize = 16;
/// Parts of a profile. A suspect must grow in each of them.
pub(super) const PARTS: u32 = 4;
/// Fewest bytes of a suspect: four samples. Anything less is noise.
const MIN_SUSPECT: u64 = 4 << LG_SAMPLE;
/// Suspects shown, the fastest growing first.
const MAX_SUSPECTS: usize = 20;
/// Beginnings of function names in allocators and collections, through which all code allocates: they are no
/// allocation sites.
const LIBRARIES: [&str; 19] = [
    "alloc::",
    "core::",
    "std::",
    "hashbrown::",
    "bytes::",
    "__rust",
    "__rdl",
    "_rjem",
    "prof_",
    "tikv_jemalloc",
    "je_",
    "malloc",
    "calloc",
    "realloc",
    "imalloc",
    "do_",
    "arena_",
    "iallocztm",
    "operator new",
];

/// Whether a profile is being taken: jemalloc has one set of samples for the whole process.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A heap profile that is being taken.
pub struct HeapSampler {
    began: Instant,
    /// For each part of the profile, the time of its end since `began`, and the bytes that were alive then by stack.
    parts: Vec<(Duration, HashMap<Vec<u64>, u64>)>,
}

impl HeapSampler {
    /// How often [`HeapSampler::look`] is to be called in the course of a profile, at even distances.
    pub const PARTS: u32 = PARTS;

    /// Starts sampling; fails while another heap profile is taken.
    pub fn start() -> Result<Self, ProfileError> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err(ProfileError::Busy);
        }
        let sampler = Self { began: Instant::now(), parts: Vec::new() };
        enabled()?;
        set("prof.reset", LG_SAMPLE)?;
        set("prof.active", true)?;
        Ok(sampler)
    }

    /// Ends one part: records which sampled allocations are alive now.
    pub fn look(&mut self) -> Result<(), ProfileError> {
        let file = tempfile();
        let path = CString::new(file.display().to_string()).map_err(std::io::Error::from)?;
        let dumped = set("prof.dump", path.as_ptr());
        let text = std::fs::read_to_string(&file);
        // The file is missing if the dump failed.
        let _ = std::fs::remove_file(&file);
        dumped?;
        self.parts.push((self.began.elapsed(), parse(&text?)));
        Ok(())
    }

    /// Stops sampling and looks up the names; only of `component`, if one is named.
    pub fn finish(mut self, component: Option<&str>) -> Result<Profile, ProfileError> {
        if self.parts.is_empty() {
            self.look()?;
        }
        let parts = std::mem::take(&mut self.parts);
        let duration = self.began.elapsed();
        // Stop sampling before the names are looked up, which allocates a lot.
        drop(self);
        let (_, last) = parts.last().cloned().unwrap_or_default();
        let stack = |(addresses, bytes)| (Stack { tag: Tag::default(), thread: 0, addresses }, bytes);
        let threads = HashMap::from([(0, "heap".to_owned())]);
        let weights = Weights { stacks: last.into_iter().map(stack).collect(), threads };
        let profile = weights.profile(Kind::Heap, component, |_| None);
        Ok(Profile {
            duration_s: duration.as_secs_f64(),
            rate: 1 << LG_SAMPLE,
            suspects: suspects(&parts),
            ..profile
        })
    }
}

impl Drop for HeapSampler {
    fn drop(&mut self) {
        // Switching off cannot fail where switching on has worked.
        let _ = set("prof.active", false);
        TAKEN.store(false, Ordering::Release);
    }
}

/// Fails unless the program was started with options that allow heap profiles.
#[expect(unsafe_code, reason = "mallctl is told types that it cannot check: this is that of its manual")]
fn enabled() -> Result<(), ProfileError> {
    // SAFETY: `opt.prof` is a bool.
    let on = unsafe { raw::read::<bool>(b"opt.prof\0") }.map_err(|e| failed("opt.prof", &e))?;
    if on { Ok(()) } else { Err(failed("opt.prof", &"it was not started with prof:true")) }
}

/// Writes one of jemalloc's settings (mallctl(3)). `T` must be the type that its manual asks for.
#[expect(unsafe_code, reason = "mallctl is told types that it cannot check")]
fn set<T>(name: &str, value: T) -> Result<(), ProfileError> {
    let terminated = CString::new(name).map_err(|e| failed(name, &e))?;
    // SAFETY: the callers pass a size for `prof.reset`, a bool for `prof.active`, and for `prof.dump` a string that
    // outlives the call.
    unsafe { raw::write(terminated.as_bytes_with_nul(), value) }.map_err(|e| failed(name, &e))
}

fn failed(name: &str, error: &dyn std::fmt::Display) -> ProfileError {
    ProfileError::Allocator(format!("{name}: {error}"))
}

fn tempfile() -> std::path::PathBuf {
    let unique: u64 = rand::random();
    std::env::temp_dir().join(format!("antiphon-{}-{unique:016x}.heap", std::process::id()))
}

/// Reads a dump in the format `heap_v2`: for each stack a line of `@` and addresses, then a line `t*: objects: bytes
/// [...]` of what was sampled. Returns the estimated bytes by stack, the innermost address first.
fn parse(dump: &str) -> HashMap<Vec<u64>, u64> {
    let mut lives = HashMap::new();
    let rate = dump.lines().next().and_then(|line| line.strip_prefix("heap_v2/")?.parse().ok());
    let rate: f64 = rate.unwrap_or(f64::from(1 << LG_SAMPLE));
    let mut stack: Option<Vec<u64>> = None;
    for line in dump.lines() {
        let line = line.trim();
        if let Some(addresses) = line.strip_prefix('@') {
            let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
            // These are return addresses: subtracting one leads into the call instruction before.
            stack =
                Some(addresses.split_whitespace().filter_map(hex).map(|at| at.saturating_sub(1)).collect());
        } else if let Some(counts) = line.strip_prefix("t*:")
            && let Some(addresses) = stack.take()
        {
            let mut counts = counts.split(':');
            let mut number = || counts.next()?.split_whitespace().next()?.parse::<f64>().ok();
            let (Some(objects), Some(bytes)) = (number(), number()) else { continue };
            if objects > 0.0 {
                // An object of this size is sampled with this probability, as in jemalloc's own jeprof.
                let sampled = 1.0 - (-(bytes / objects) / rate).exp();
                lives.insert(addresses, (bytes / sampled.max(f64::MIN_POSITIVE)) as u64);
            }
        }
    }
    lives
}

/// The allocation sites that grew in every part, the fastest first.
fn suspects(parts: &[(Duration, HashMap<Vec<u64>, u64>)]) -> Vec<Suspect> {
    let [(began, _), .., (ended, last)] = parts else { return Vec::new() };
    let over = ended.saturating_sub(*began).as_secs_f64().max(0.001);
    let named = symbols::Symbols::new(last.keys().flatten().copied());
    // A site may be reached over many stacks: they are added up.
    let mut sites: HashMap<String, (Vec<u64>, Vec<String>)> = HashMap::new();
    for addresses in last.keys() {
        let frames: Vec<String> =
            addresses.iter().filter_map(|at| named.frame(*at)).map(|frame| frame.name.clone()).collect();
        let site = frames.iter().find(|name| !is_library(name)).or(frames.last()).cloned();
        let Some(site) = site else { continue };
        let (bytes, _) = sites.entry(site).or_insert_with(|| (vec![0; parts.len()], frames));
        for (sum, (_, lives)) in bytes.iter_mut().zip(parts) {
            *sum += lives.get(addresses).copied().unwrap_or_default();
        }
    }
    let mut suspects: Vec<Suspect> = sites
        .into_iter()
        .filter(|(_, (bytes, _))| bytes.is_sorted_by(|a, b| a < b))
        .filter_map(|(site, (bytes, stack))| {
            let (first, last) = (*bytes.first()?, *bytes.last()?);
            let bytes_per_s = last.saturating_sub(first) as f64 / over;
            // An even leak holds four times as much at the end as after the first part. A site of which a little more
            // was sampled each time by chance does not even double.
            (last >= MIN_SUSPECT && last >= first * 2).then_some(Suspect {
                site,
                bytes_per_s,
                bytes: last,
                stack,
            })
        })
        .collect();
    suspects.sort_by(|a, b| b.bytes_per_s.total_cmp(&a.bytes_per_s));
    suspects.truncate(MAX_SUSPECTS);
    suspects
}

/// The part of a stack from the allocation site outwards, without the frames of the allocator and the standard library.
pub(super) fn from_site<'a>(frames: &'a [&'a symbols::Frame]) -> &'a [&'a symbols::Frame] {
    let site = frames.iter().position(|frame| !is_library(&frame.name)).unwrap_or_default();
    &frames[site..]
}

/// Whether a function belongs to an allocator or to a collection.
fn is_library(name: &str) -> bool {
    let name = name.trim_start_matches('<');
    LIBRARIES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_the_first_function_that_is_not_the_allocators() {
        let frame = |name: &str| symbols::Frame { name: name.to_owned(), location: None };
        let (backtrace, grow, ours) =
            (frame("prof_backtrace_impl"), frame("<alloc::vec::Vec<T> as X>::y"), frame("antiphon::learn"));
        let stack = [&backtrace, &grow, &ours, &grow];
        assert_eq!(from_site(&stack)[0].name, "antiphon::learn");
        assert_eq!(from_site(&stack).len(), 2);
        assert_eq!(from_site(&stack[..2]).len(), 2, "nothing else is known");
    }

    #[test]
    fn a_dump_is_read_and_scaled_up() {
        let dump = "heap_v2/65536\n  t*: 3: 300 [0: 0]\n  t1: 3: 300 [0: 0]\n@ 0x10 0x20\n  t*: 2: 128 [0: 0]\n  \
            t1: 2: 128 [0: 0]\n@ 0x30\n  t*: 1: 10485760 [0: 0]\n\nMAPPED_LIBRARIES:\n";
        let lives = parse(dump);
        assert_eq!(lives.len(), 2, "the sum of all is no stack");
        // Two samples of 64 bytes stand for 64 KiB each.
        let small = lives[&vec![0x0f, 0x1f]] as f64;
        assert!((small / (2.0 * 65_536.0) - 1.0).abs() < 0.01, "{small}");
        assert_eq!(lives[&vec![0x2f]], 10_485_760, "large ones are all sampled");
        assert!(parse("nonsense\n@ x\nt*: :").is_empty());
    }
}
