//! Decides which connections there may be. A server that counts connections only can be shut by anybody who holds many of them; so
//! whoever has shown neither a key nor a signature is a stranger, and gives way to newcomers, the longest first.
//!
//! Calls do not count: a WebSocket leaves these connections when it is opened, and the desk limits how many there are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use crate::settings::ConnectionBounds;

/// The connections of a server. `T` closes one of them.
#[derive(Debug)]
pub(super) struct Connections<T> {
    bounds: ConnectionBounds,
    /// By number, so that the oldest is the first.
    strangers: BTreeMap<u64, (IpAddr, T)>,
    /// How many strangers there are from each address.
    from: HashMap<IpAddr, usize>,
    known: HashSet<u64>,
    next: u64,
}

/// What becomes of a connection that arrives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival<T> {
    /// It gets this number. If somebody has to give way for it, this closes them.
    Welcome { number: u64, gives_way: Option<T> },
    /// All connections are held by those who have shown a key or a signature.
    Full,
}

impl<T> Connections<T> {
    pub(super) fn new(bounds: ConnectionBounds) -> Self {
        let (strangers, from, known) = (BTreeMap::new(), HashMap::new(), HashSet::new());
        Self { bounds, strangers, from, known, next: 0 }
    }

    /// A connection from this address, which `close` closes.
    pub(super) fn arrive(&mut self, address: IpAddr, close: T) -> Arrival<T> {
        let oldest = if self.from.get(&address).is_some_and(|held| *held >= self.bounds.strangers_each) {
            self.strangers.iter().find(|(_, (from, _))| *from == address).map(|(number, _)| *number)
        } else if self.strangers.len() + self.known.len() < self.bounds.in_all {
            None
        } else if let Some((number, _)) = self.strangers.first_key_value() {
            Some(*number)
        } else {
            return Arrival::Full;
        };
        let gives_way = oldest.and_then(|number| self.forget(number));
        let number = self.next;
        self.next += 1;
        self.strangers.insert(number, (address, close));
        *self.from.entry(address).or_default() += 1;
        Arrival::Welcome { number, gives_way }
    }

    /// A connection has shown a key or a signature. Returns false if there is no room for one more of those, because the rest is
    /// kept for health checks and telephone companies, who are strangers at first.
    pub(super) fn is_known(&mut self, number: u64) -> bool {
        if self.known.contains(&number) {
            return true;
        }
        if self.known.len() + self.bounds.reserve >= self.bounds.in_all {
            return false;
        }
        // Whoever had to give way meanwhile is no longer counted.
        if self.forget(number).is_some() {
            self.known.insert(number);
        }
        true
    }

    /// A connection is over.
    pub(super) fn leave(&mut self, number: u64) {
        if !self.known.remove(&number) {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) -> Option<T> {
        let (address, close) = self.strangers.remove(&number)?;
        if let Some(held) = self.from.get_mut(&address) {
            *held -= 1;
            if *held == 0 {
                self.from.remove(&address);
            }
        }
        Some(close)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn connections() -> Connections<&'static str> {
        Connections::new(ConnectionBounds { in_all: 4, reserve: 1, strangers_each: 2 })
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// The number of a connection, and who gives way for it.
    fn arrive(
        connections: &mut Connections<&'static str>,
        from: u8,
        name: &'static str,
    ) -> (u64, Option<&'static str>) {
        match connections.arrive(address(from), name) {
            Arrival::Welcome { number, gives_way } => (number, gives_way),
            Arrival::Full => panic!("full"),
        }
    }

    #[test]
    fn strangers_give_way_to_newcomers_from_their_address_and_then_to_all() {
        let mut connections = connections();
        assert_eq!(arrive(&mut connections, 1, "a").1, None);
        assert_eq!(arrive(&mut connections, 1, "b").1, None);
        assert_eq!(arrive(&mut connections, 1, "c").1, Some("a"), "the oldest of its own address");
        assert_eq!(arrive(&mut connections, 2, "d").1, None);
        assert_eq!(arrive(&mut connections, 3, "e").1, None);
        assert_eq!(arrive(&mut connections, 4, "f").1, Some("b"), "the oldest of all");
    }

    #[test]
    fn whoever_has_shown_a_key_stays_and_is_not_counted_by_address() {
        let mut connections = connections();
        for name in ["a", "b", "c"] {
            let (number, gives_way) = arrive(&mut connections, 1, name);
            assert_eq!(gives_way, None);
            assert!(connections.is_known(number));
        }
        let (health, gives_way) = arrive(&mut connections, 2, "health check");
        assert_eq!(gives_way, None, "the reserve");
        assert!(!connections.is_known(health), "there is none for one more key");
        assert_eq!(arrive(&mut connections, 3, "d").1, Some("health check"));
        connections.leave(0);
        let (number, _) = arrive(&mut connections, 4, "e");
        assert!(connections.is_known(number));
    }

    #[test]
    fn without_a_reserve_everything_may_be_held_by_keys() {
        let mut connections = Connections::new(ConnectionBounds { in_all: 1, reserve: 0, strangers_each: 1 });
        let (number, _) = arrive(&mut connections, 1, "a");
        assert!(connections.is_known(number));
        assert_eq!(connections.arrive(address(2), "b"), Arrival::Full);
    }

    proptest! {
        #[test]
        fn bounds_hold_and_nothing_is_left_of_those_who_have_gone(
            steps in prop::collection::vec((0..3_u8, 0..4_u8, 0..64_u64), 0..200),
        ) {
            let mut connections = connections();
            for (step, from, number) in steps {
                match step {
                    0 => drop(connections.arrive(address(from), "x")),
                    1 if number < connections.next => drop(connections.is_known(number)),
                    _ => connections.leave(number),
                }
                prop_assert!(connections.strangers.len() + connections.known.len() <= 4);
                prop_assert!(connections.from.values().all(|held| (1..=2).contains(held)));
            }
            for number in 0..connections.next {
                connections.leave(number);
            }
            prop_assert!(connections.strangers.is_empty() && connections.known.is_empty() && connections.from.is_empty());
        }
    }
}
