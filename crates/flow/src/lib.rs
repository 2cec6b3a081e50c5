//! Decorators round the core traits: scheduling, resilience, caching.
