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
step "build" cargo build --release --locked
step "models" target/release/antiphon models pull
step "monitoring" scripts/check-deploy.sh
step "instructions" scripts/instructions.sh
# Documentation is for whoever works on the code: it may link to what is private.
step "documentation" env RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --release --locked --workspace --no-deps --quiet
scripts/run-tests.sh
