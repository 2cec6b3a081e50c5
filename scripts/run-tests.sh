#!/usr/bin/env bash
# Runs the tests to their end, even if some fail: of the whole workspace, or of what the arguments tell `cargo test`.
# The last line counts those that passed, failed and were skipped; above it stands what was skipped and why.
. "$(dirname "$0")/lib.sh"
[ $# -gt 0 ] || set -- --workspace

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

run() { # ARGUMENTS... of cargo test
  cargo test --release --locked --no-fail-fast "$@" 2>&1 | tee -a "$work/log" || status=1
}

has_model() { # NAME
  [ -x target/release/antiphon ] &&
    target/release/antiphon models list --json | grep "\"id\":\"$1\".*\"state\":\"ready\"" >/dev/null
}

# Ignored tests whose model is here after all are run a second time.
run_optional() {
  ! has_model kokoro-82m || run "$@" -- --ignored kokoro
}

# Reads what cargo wrote, and the notes of leave_out.
count() {
  awk -v status=$status '
    # Of a program that breaks down there is no result.
    /^ +(Running|Doc-tests) / { programs++ }
    /^test result: / {
      results++
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) passed += $(i - 1)
        if ($i ~ /^failed/) failed += $(i - 1)
        if ($i ~ /^ignored/) skipped += $(i - 1)
      }
    }
    /^test .* \.\.\. / {
      name = outcome = $0
      sub(/^test /, "", name); sub(/ \.\.\. .*$/, "", name)
      sub(/^.* \.\.\. /, "", outcome)
      if (sub(/^ignored,? */, "", outcome)) {
        why[name] = outcome == "" ? "no reason is given" : outcome
      } else if (name in why) {
        # It ran the second time.
        delete why[name]
        skipped--
      }
    }
    /^left out: / { sub(/^left out: /, ""); why[$0] = ""; skipped++ }
    END {
      broken = programs > results ? programs - results : 0
      if (status && !failed && !broken) broken = 1
      if (broken) printf "%d test programs could not be built or ended without a result.\n", broken
      for (name in why) printf "skipped: %s%s\n", name, why[name] == "" ? "" : ": " why[name] | "sort"
      close("sort")
      printf "%d passed, %d failed, %d skipped\n", passed, failed + broken, skipped
    }' "$work/log" "$@"
}

step "tests" run "$@"
run_optional "$@"
count ${LEFT_OUT:+"$LEFT_OUT"}
exit $status
