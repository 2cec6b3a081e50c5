//! Takes a profile while a benchmark runs.

use antiphon_telemetry::profile::{CpuSampler, HeapSampler, Profile, ProfileError};
use anyhow::Result;

/// The sampler that runs during the benchmark.
pub(crate) enum Profiler {
    /// Samples the functions that use CPU time.
    Cpu(CpuSampler),
    /// Samples memory that is allocated and not freed.
    Heap(HeapGrowth),
}

/// Examines the heap after each part of the iterations.
pub(crate) struct HeapGrowth {
    sampler: HeapSampler,
    iterations: usize,
    done: usize,
    looked: Result<(), ProfileError>,
}

impl Profiler {
    /// Begins the profile, before this many iterations.
    pub(crate) fn start(memory: bool, iterations: usize) -> Result<Self, ProfileError> {
        if !memory {
            return CpuSampler::start().map(Self::Cpu);
        }
        let sampler = HeapSampler::start()?;
        Ok(Self::Heap(HeapGrowth { sampler, iterations, done: 0, looked: Ok(()) }))
    }

    /// Reports the end of an iteration.
    pub(crate) fn iterated(&mut self) {
        let Self::Heap(growth) = self else { return };
        let parts = |done: usize| done * HeapSampler::PARTS as usize / growth.iterations.max(1);
        let ended = parts(growth.done + 1) > parts(growth.done);
        growth.done += 1;
        if ended && growth.looked.is_ok() {
            growth.looked = growth.sampler.look();
        }
    }

    /// Ends the profile and looks up the names, which takes a core for a second.
    pub(crate) async fn finish(self) -> Result<Profile> {
        let finish = move || match self {
            Self::Cpu(sampler) => Ok(sampler.finish(None, |_| None)),
            Self::Heap(growth) => growth.looked.and_then(|()| growth.sampler.finish(None)),
        };
        Ok(tokio::task::spawn_blocking(finish).await??)
    }
}
