#!/usr/bin/env bash
# Everything that must hold before a change lands. The last line counts the tests.
. "$(dirname "$0")/lib.sh"
export RUSTFLAGS="${RUSTFLAGS:-}" CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

LEFT_OUT=$(mktemp)
export LEFT_OUT
trap 'rm -f "$LEFT_OUT"' EXIT

licences() {
  if command -v cargo-deny >/dev/null; then
    cargo deny --locked check licenses bans sources
  else
    leave_out "licences and sources: cargo-deny is not installed (cargo install cargo-deny)"
  fi
}

step "set up the build" scripts/setup-build.sh
step "set up the tests" scripts/setup-test.sh
step "format" cargo fmt --all --check
step "lint" cargo clippy --release --locked --workspace --all-targets -- -D warnings
step "licences and sources" licences
# All that is tested, at once: a plain `cargo build` would be without the features that only tests need, and compile half
# of the crates another time.
step "build" cargo test --release --locked --workspace --no-run
step "models" target/release/antiphon models pull
step "monitoring" scripts/check-deploy.sh
step "instructions" scripts/instructions.sh
# Documentation is for whoever works on the code: it may link to what is private. With the examples, it needs the same
# features as the lints, and checks nothing twice.
step "documentation" env RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" \
  cargo doc --release --locked --workspace --lib --bins --examples --no-deps --quiet
scripts/run-tests.sh
