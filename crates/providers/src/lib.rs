//! Speech and language engines behind the core traits, one file each.
