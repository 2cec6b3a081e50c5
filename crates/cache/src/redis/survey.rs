//! Looking through all entries, step by step with SCAN, so that Redis answers others in between.
//!
//! There is deliberately no index of a tenant's entries. Redis might evict the index but not the entries, and then a
//! tenant's entries could not be removed any more; SCAN finds every key that exists from its beginning to its end.
//! The cost is a look at each key of the database, those of other programs included: 0.7 s for a million on the same machine
//! (`cargo bench -p antiphon-cache --bench cache_redis`).

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, cmd};

use super::name::{Name, pattern};
use super::read;
use crate::{Kind, Selection, Usage};

/// Keys visited in one step, which keeps Redis busy for about a millisecond.
const STEP: usize = 2_000;
/// Entries read in one step: at most 8 MiB.
const READ_AT_ONCE: usize = 8;
/// The offset of the tenant, with its length in front, in what [`Entry::to_bytes`](crate::Entry::to_bytes) writes.
const TENANT_AT: usize = 67;

/// One look through the entries of a kind, or of all, on a separate connection: it reads much, and gets must not wait behind it.
pub(super) struct Survey {
    connection: MultiplexedConnection,
    pattern: String,
    /// The cursor of SCAN; `None` at the end.
    cursor: Option<u64>,
}

impl Survey {
    pub(super) async fn new(mut connection: MultiplexedConnection, kind: Option<Kind>) -> Self {
        // From Redis 7.2 on, looking at entries does not have to count as a use.
        let _ = cmd("CLIENT").arg("NO-TOUCH").arg("ON").exec_async(&mut connection).await;
        Self { connection, pattern: pattern(kind), cursor: Some(0) }
    }

    /// Removes the selected entries, and counts them in `forgotten` while it goes on, so that the count survives an error.
    pub(super) async fn clear(
        &mut self,
        of: &Selection,
        now_ms: u64,
        forgotten: &mut u64,
    ) -> RedisResult<()> {
        // Redis has removed what has expired by now.
        if of.expired_ms.is_some_and(|by| by <= now_ms) {
            return Ok(());
        }
        while let Some(names) = self.step().await? {
            let names = self.meant(names, of, now_ms).await?;
            if !names.is_empty() {
                let mut unlink = cmd("UNLINK");
                unlink.arg(names.iter().map(|name| name.to_bytes()).collect::<Vec<_>>());
                *forgotten += unlink.query_async::<u64>(&mut self.connection).await?;
            }
        }
        Ok(())
    }

    /// The names of the selected entries, the latest used first, at most `limit`, each with the seconds since its last use. They
    /// are 0 where Redis does not know them, as with the LFU eviction policies.
    pub(super) async fn latest(
        &mut self,
        of: &Selection,
        now_ms: u64,
        limit: usize,
    ) -> RedisResult<Vec<(u64, Name)>> {
        let mut latest = BTreeSet::new();
        while let Some(names) = self.step().await? {
            // First of all, since before Redis 7.2 reading the tenant counts as a use.
            let idle = self.ask(&names, |name| cmd("OBJECT").arg("IDLETIME").arg(name).take()).await?;
            let idle: Vec<(Name, u64)> = names.iter().copied().zip(idle.into_iter().map(or_zero)).collect();
            let meant: HashSet<Name> = self.meant(names, of, now_ms).await?.into_iter().collect();
            latest.extend(
                idle.into_iter().filter(|(name, _)| meant.contains(name)).map(|(name, idle)| (idle, name)),
            );
            while latest.len() > limit {
                latest.pop_last();
            }
        }
        // SCAN may give a name twice.
        let mut seen = HashSet::new();
        Ok(latest.into_iter().filter(|(_, name)| seen.insert(*name)).collect())
    }

    /// The values of these names; empty where there is none, or one that cannot be an entry.
    pub(super) async fn read(&mut self, names: &[Name]) -> RedisResult<Vec<Bytes>> {
        let mut values = Vec::with_capacity(names.len());
        for names in names.chunks(READ_AT_ONCE) {
            let found = self.ask(names, read).await?;
            values.extend(found.into_iter().map(|value: RedisResult<Bytes>| value.unwrap_or_default()));
        }
        Ok(values)
    }

    /// The number of entries and the memory that Redis needs for them; one that SCAN gives twice counts twice.
    pub(super) async fn usage(&mut self) -> RedisResult<Usage> {
        let mut usage = Usage::default();
        while let Some(names) = self.step().await? {
            let sizes = self.ask(&names, |name| cmd("MEMORY").arg("USAGE").arg(name).take()).await?;
            for size in sizes.into_iter().filter_map(|size: RedisResult<Option<u64>>| size.ok().flatten()) {
                usage.entries += 1;
                usage.bytes += size;
            }
        }
        Ok(usage)
    }

    /// The next names; `None` at the end.
    async fn step(&mut self) -> RedisResult<Option<Vec<Name>>> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(STEP);
        let (next, names): (u64, Vec<Vec<u8>>) = scan.query_async(&mut self.connection).await?;
        self.cursor = (next != 0).then_some(next);
        Ok(Some(names.iter().filter_map(|name| Name::from_bytes(name)).collect()))
    }

    /// Those of `names` whose entries are selected by tenant and expiry; the kind is matched by the pattern.
    async fn meant(&mut self, mut names: Vec<Name>, of: &Selection, now_ms: u64) -> RedisResult<Vec<Name>> {
        if let Some(tenant) = &of.tenant {
            let (written, at) = written(tenant);
            let get = |name: Vec<u8>| cmd("GETRANGE").arg(name).arg(at.start()).arg(at.end()).take();
            let found: Vec<RedisResult<Bytes>> = self.ask(&names, get).await?;
            names = kept(names, found, |found| *found == written);
        }
        if let Some(by) = of.expired_ms {
            let left: Vec<RedisResult<i64>> = self.ask(&names, |name| cmd("PTTL").arg(name).take()).await?;
            names = kept(names, left, |left| u64::try_from(*left).is_ok_and(|left| now_ms + left <= by));
        }
        Ok(names)
    }

    /// The answers to a command for each name, in one pipeline.
    async fn ask<T: FromRedisValue>(
        &mut self,
        names: &[Name],
        command: impl Fn(Vec<u8>) -> Cmd,
    ) -> RedisResult<Vec<RedisResult<T>>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Pipeline::with_capacity(names.len());
        for name in names {
            commands.add_command(command(name.to_bytes()));
        }
        commands.ignore_errors().query_async(&mut self.connection).await
    }
}

fn or_zero(idle: RedisResult<Option<u64>>) -> u64 {
    idle.ok().flatten().unwrap_or_default()
}

/// The names whose answers satisfy `is`.
fn kept<T>(names: Vec<Name>, answers: Vec<RedisResult<T>>, is: impl Fn(&T) -> bool) -> Vec<Name> {
    let both = names.into_iter().zip(answers);
    both.filter(|(_, answer)| answer.as_ref().is_ok_and(&is)).map(|(name, _)| name).collect()
}

/// The bytes of a tenant in each of its entries, and where they are.
fn written(tenant: &str) -> (Vec<u8>, RangeInclusive<usize>) {
    let mut written = (tenant.len() as u32).to_le_bytes().to_vec();
    written.extend(tenant.as_bytes());
    let end = TENANT_AT + written.len() - 1;
    (written, TENANT_AT..=end)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{Entry, KeyBuilder};

    proptest! {
        #[test]
        fn a_tenant_is_found_where_it_is_looked_for(
            tenant in ".{0,20}", other in ".{0,20}", label in ".{0,20}", value: Vec<u8>, prefetched: bool, times: [u64; 2]
        ) {
            let entry = Entry {
                kind: Kind::Result,
                key: KeyBuilder::new(Kind::Result, &tenant).build(),
                tenant: tenant.as_str().into(),
                label: label.into(),
                value: value.into(),
                made_ms: times[0],
                expires_ms: times[1],
                cost: Duration::MAX,
                prefetched,
            };
            let bytes = entry.to_bytes();
            let found = |tenant| {
                let (written, at) = written(tenant);
                bytes.get(at) == Some(&written[..])
            };
            prop_assert!(found(&tenant));
            prop_assert_eq!(found(&other), other == tenant);
        }
    }
}
