//! Transports, HTTP, command line: the antiphon binary.
