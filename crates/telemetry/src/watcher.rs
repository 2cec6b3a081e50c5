//! Watching a server: closes the periods of its monitor, judges them, and keeps them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::alerts::{Alert, AlertState, Alerts, Rule};
use crate::clock::unix_time;
use crate::history::Period;
use crate::monitor::Monitor;
use crate::report::{Report, Series};
use crate::store::{Store, StoreError};

/// What is asked of the monitor, not of the store.
const IN_MEMORY: Duration = Duration::from_hours(1);
/// What a baseline is made of when the server begins.
const LEARNT_FROM: Duration = Duration::from_hours(24);
/// The store keeps a period of this length for each row.
const KEEP_EVERY: Duration = Duration::from_mins(1);
/// How often the store is tidied.
const ROLL_UP_EVERY: Duration = Duration::from_mins(10);

/// A monitor with alerts and, if there is one, a store.
pub struct Watcher {
    monitor: Monitor,
    store: Option<Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    alerts: Alerts,
    fired: [u64; Rule::ALL.len()],
    /// Not yet kept.
    pending: Vec<Arc<Period>>,
    since_roll_up: Duration,
}

impl Watcher {
    /// Without a store, what is older than an hour is forgotten.
    pub fn new(monitor: Monitor, store: Option<Store>) -> Self {
        Self { monitor, store, state: Mutex::default() }
    }

    /// Learns from the store what was normal. To be called once, at the beginning.
    pub async fn learn(&self) -> Result<(), StoreError> {
        if let Some(store) = &self.store {
            let periods = store.periods(LEARNT_FROM, unix_time().as_secs()).await?;
            self.state().alerts.learn(&periods);
        }
        Ok(())
    }

    /// To be called every [`crate::TICK`]: gives the period that ended, and what began to fire and what is over.
    pub async fn tick(&self) -> (Arc<Period>, Vec<Alert>) {
        let period = self.monitor.tick();
        let components = self.monitor.components();
        let (changes, kept, roll_up) = {
            let mut state = self.state();
            let changes = state.alerts.judge(&period, &components);
            for alert in changes.iter().filter(|alert| alert.state == AlertState::Firing) {
                state.fired[alert.rule as usize] += 1;
            }
            state.since_roll_up += period.length;
            state.pending.push(period.clone());
            let waits: Duration = state.pending.iter().map(|period| period.length).sum();
            let kept = if waits >= KEEP_EVERY { merged(&state.pending) } else { None };
            if kept.is_some() {
                state.pending.clear();
            }
            let roll_up = state.since_roll_up >= ROLL_UP_EVERY;
            if roll_up {
                state.since_roll_up = Duration::ZERO;
            }
            (changes, kept, roll_up)
        };
        if let Some(store) = &self.store
            && let Err(error) = keep(store, kept, roll_up).await
        {
            // The server goes on: what is not kept is still in memory for an hour.
            tracing::warn!(%error, "measurements could not be kept");
        }
        (period, changes)
    }

    /// Keeps what has not been kept yet: to be called when the server ends.
    pub async fn close(&self) {
        let mut pending = std::mem::take(&mut self.state().pending);
        pending.push(self.monitor.tick());
        let period = merged(&pending);
        if let Some(store) = &self.store
            && let Err(error) = keep(store, period, false).await
        {
            tracing::warn!(%error, "the last measurements could not be kept");
        }
    }

    /// What is watched.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// Where measurements are kept.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The last `window`; of one component, or of all.
    pub async fn report(&self, window: Duration, component: Option<&str>) -> Result<Report, StoreError> {
        let periods = self.periods(window).await?;
        Ok(Report::new(&self.monitor.components(), &periods, component))
    }

    /// How things developed in the last `window`, in at most `points`.
    pub async fn series(&self, window: Duration, points: usize) -> Result<Series, StoreError> {
        let periods = self.periods(window).await?;
        Ok(Series::new(&self.monitor.components(), &periods, points))
    }

    async fn periods(&self, window: Duration) -> Result<Vec<Arc<Period>>, StoreError> {
        match &self.store {
            Some(store) if window > IN_MEMORY => {
                let kept = store.periods(window, unix_time().as_secs()).await?;
                let mut periods: Vec<Arc<Period>> = kept.into_iter().map(Arc::new).collect();
                // What is not kept yet.
                periods.extend(self.state().pending.iter().cloned());
                periods.extend(self.monitor.periods(Duration::ZERO));
                Ok(periods)
            }
            _ => Ok(self.monitor.periods(window)),
        }
    }

    /// The latest alerts, the latest first.
    pub fn alerts(&self) -> Vec<Alert> {
        self.state().alerts.latest().cloned().collect()
    }

    /// How many of a kind fire now.
    pub fn alerts_firing(&self, rule: Rule) -> usize {
        self.state().alerts.firing(rule)
    }

    /// How many of a kind have fired.
    pub fn alerts_fired(&self, rule: Rule) -> u64 {
        self.state().fired[rule as usize]
    }

    /// Nothing panics while it holds this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn merged(periods: &[Arc<Period>]) -> Option<Period> {
    Period::merged(periods.iter().map(Arc::as_ref))
}

async fn keep(store: &Store, period: Option<Period>, roll_up: bool) -> Result<(), StoreError> {
    if let Some(period) = period {
        store.keep(&period).await?;
    }
    if roll_up {
        store.roll_up(unix_time().as_secs()).await?;
    }
    Ok(())
}
