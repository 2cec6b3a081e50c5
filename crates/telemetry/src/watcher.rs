//! Watches a server: closes the periods of its monitor, judges them, and stores them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::alerts::{Alert, AlertState, Alerts, Rule};
use crate::clock::unix_time;
use crate::history::Period;
use crate::monitor::Monitor;
use crate::report::{Report, Series};
use crate::store::{Store, StoreError};
use antiphon_core::lock;

/// Windows up to this length are read from the monitor, longer ones from the store.
const IN_MEMORY: Duration = Duration::from_hours(1);
/// How much of the stored history is used to build the baselines when the server starts.
const LEARNT_FROM: Duration = Duration::from_hours(24);
/// How often the periods are merged to one and stored.
const KEEP_EVERY: Duration = Duration::from_mins(1);
/// How often stored periods are merged to longer ones.
const ROLL_UP_EVERY: Duration = Duration::from_mins(10);

/// A monitor with alerts and, if there is one, a store.
pub struct Watcher {
    monitor: Monitor,
    store: Option<Store>,
    state: Mutex<WatcherState>,
}

#[derive(Default)]
struct WatcherState {
    alerts: Alerts,
    /// How many alerts have fired, by rule.
    fired: [u64; Rule::ALL.len()],
    /// Periods that are not stored yet.
    pending: Vec<Arc<Period>>,
    since_roll_up: Duration,
    outage: StoreOutage,
}

/// Whether measurements can be stored, as a state machine: a disk that is full for a day is reported once and not every minute.
#[derive(Debug, Default)]
struct StoreOutage {
    has_begun: bool,
}

/// What is to be said of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreNews {
    /// Storing has begun to fail.
    Fails,
    /// Storing works again.
    Works,
}

impl StoreOutage {
    /// Storing worked or failed; what is new about that.
    fn stored(&mut self, worked: bool) -> Option<StoreNews> {
        let had_begun = std::mem::replace(&mut self.has_begun, !worked);
        match (had_begun, worked) {
            (false, false) => Some(StoreNews::Fails),
            (true, true) => Some(StoreNews::Works),
            _ => None,
        }
    }
}

impl Watcher {
    /// Watches what `monitor` measures. Without a store, measurements are forgotten after an hour.
    pub fn new(monitor: Monitor, store: Option<Store>) -> Self {
        Self { monitor, store, state: Mutex::default() }
    }

    /// Builds the baselines of the alerts from the store. Call it once, when the server starts.
    pub async fn learn(&self) -> Result<(), StoreError> {
        if let Some(store) = &self.store {
            let periods = store.periods(LEARNT_FROM, unix_time().as_secs()).await?;
            lock(&self.state).alerts.learn(&periods);
        }
        Ok(())
    }

    /// Closes the current period. Returns it, and the alerts that began to fire or were resolved. Call it
    /// every [`crate::TICK`].
    pub async fn tick(&self) -> (Arc<Period>, Vec<Alert>) {
        let period = self.monitor.tick();
        let components = self.monitor.components();
        let (changes, kept, roll_up) = {
            let mut state = lock(&self.state);
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
        if let Some(store) = self.store.as_ref().filter(|_| kept.is_some() || roll_up) {
            self.report_outage(&keep(store, kept, roll_up).await);
        }
        (period, changes)
    }

    /// The server goes on when measurements cannot be stored: they stay in memory for an hour.
    fn report_outage(&self, stored: &Result<(), StoreError>) {
        let news = lock(&self.state).outage.stored(stored.is_ok());
        match (news, stored) {
            (Some(StoreNews::Fails), Err(error)) => tracing::warn!(
                %error,
                "measurements cannot be stored: make room on the disk and allow writing in the data directory; it is tried \
                 again every minute"
            ),
            (Some(StoreNews::Works), _) => tracing::info!("measurements are stored again"),
            _ => {}
        }
    }

    /// Stores what has not been stored yet. Call it when the server ends.
    pub async fn close(&self) {
        let mut pending = std::mem::take(&mut lock(&self.state).pending);
        pending.push(self.monitor.tick());
        let period = merged(&pending);
        if let Some(store) = &self.store {
            self.report_outage(&keep(store, period, false).await);
        }
    }

    /// The monitor that is watched.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// The store, if there is one.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// A report of the last `window`; of one component, or of all.
    pub async fn report(&self, window: Duration, component: Option<&str>) -> Result<Report, StoreError> {
        let periods = self.periods(window).await?;
        Ok(Report::new(&self.monitor.components(), &periods, component))
    }

    /// Stages and levels over the last `window`, in at most `points` points.
    pub async fn series(&self, window: Duration, points: usize) -> Result<Series, StoreError> {
        let periods = self.periods(window).await?;
        Ok(Series::new(&self.monitor.components(), &periods, points))
    }

    async fn periods(&self, window: Duration) -> Result<Vec<Arc<Period>>, StoreError> {
        match &self.store {
            Some(store) if window > IN_MEMORY => {
                let kept = store.periods(window, unix_time().as_secs()).await?;
                let mut periods: Vec<Arc<Period>> = kept.into_iter().map(Arc::new).collect();
                // Add the periods that are not stored yet.
                periods.extend(lock(&self.state).pending.iter().cloned());
                periods.extend(self.monitor.periods(Duration::ZERO));
                Ok(periods)
            }
            _ => Ok(self.monitor.periods(window)),
        }
    }

    /// The alerts kept, the latest first, resolved ones included.
    pub fn alerts(&self) -> Vec<Alert> {
        lock(&self.state).alerts.latest().cloned().collect()
    }

    /// How many alerts of a rule fire now.
    pub fn alerts_firing(&self, rule: Rule) -> usize {
        lock(&self.state).alerts.firing(rule)
    }

    /// How many alerts of a rule have fired since the server started.
    pub fn alerts_fired(&self, rule: Rule) -> u64 {
        lock(&self.state).fired[rule as usize]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_the_store_is_told_once_and_so_is_its_end() {
        let mut outage = StoreOutage::default();
        let told = [true, false, false, false, true, true, false].map(|worked| outage.stored(worked));
        let (fails, works) = (Some(StoreNews::Fails), Some(StoreNews::Works));
        assert_eq!(told, [None, fails, None, None, works, None, fails]);
    }
}
