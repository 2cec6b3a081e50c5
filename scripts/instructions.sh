#!/usr/bin/env bash
# Counts the instructions that each case of the crates' benches/instructions.rs needs, and compares with the baseline.
# Unlike times, counts do not depend on what else the machine does. Fails when a case became dearer.
#   scripts/instructions.sh            compares
#   scripts/instructions.sh --accept   makes the present counts the baseline
. "$(dirname "$0")/lib.sh"
# Counts are those of the plain build, written and sorted alike everywhere.
export RUSTFLAGS="" LC_ALL=C CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

BASELINE=scripts/instructions.baseline.tsv
# Enough that what differs from start to start, some hundred instructions, is lost in the smallest case.
export ITERATIONS=1000
# Percent by which a case may become dearer. Another compiler makes other code: then only the coarse is seen.
LIMIT=5
LIMIT_OTHER_COMPILER=15

case "$*" in
  "" | --accept) ;;
  *) echo "unknown: $*. Usage: scripts/instructions.sh [--accept]" >&2; exit 2 ;;
esac
host=$(rustc -vV | sed -n 's/^host: //p')
toolchain="$(rustc --version) for $host"
made_with=$(sed -n '1s/^# //p' "$BASELINE" 2>/dev/null || true)
if [ "${1:-}" != --accept ]; then
  if [ -z "$made_with" ]; then
    echo "$BASELINE is missing, or its first line names no compiler: make it with scripts/instructions.sh --accept" >&2
    exit 1
  elif [ "${made_with##* }" != "$host" ]; then
    leave_out "instructions: the baseline is for ${made_with##* }, this is $host, where counts are others"
    exit 0
  fi
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # The whole workspace's features, so that nothing is compiled twice; but only these programs.
  cargo build --release --locked --workspace --bench instructions --message-format=json-render-diagnostics \
    >"$work/messages"
  # CRATE PROGRAM, from cargo's messages.
  sed -n '/"name":"instructions"/s|.*/\([^/"]*\)/Cargo.toml".*"executable":"\([^"]*\)".*|\1\t\2|p' "$work/messages" \
    >"$work/programs"
  [ -s "$work/programs" ] || { echo "cargo built no bench called instructions" >&2; return 1; }
}

count() { # PROGRAM CASE ITERATIONS: instructions of the whole run
  local report
  if report=$(timeout 60 valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "$@" 2>&1) \
    && [[ $report =~ I\ +refs:\ +([0-9,]+) ]]; then
    echo "${BASH_REMATCH[1]//,/}"
  else
    printf 'valgrind did not count %s (it fails, or takes over a minute):\n%s\n' "$*" "$report" >&2
    return 1
  fi
}

measure() { # CRATE PROGRAM CASE: a line of the case and its instructions per iteration
  local once twice
  once=$(count "$2" "$3" "$ITERATIONS") && twice=$(count "$2" "$3" $((2 * ITERATIONS))) || return 1
  # The difference is free of what starting up costs.
  awk -v name="$1/$3" -v count=$((twice - once)) -v iterations="$ITERATIONS" \
    'BEGIN { printf "%s\t%.1f\n", name, count / iterations }'
}
export -f count measure

measure_all() {
  local crate program name
  while IFS=$'\t' read -r crate program; do
    "$program" | while read -r name; do printf '%s\0%s\0%s\0' "$crate" "$program" "$name"; done
  done <"$work/programs" | xargs -0 -r -n 3 -P "$(nproc)" bash -c 'measure "$@"' measure | sort >"$work/now"
}

compare() {
  awk -F '\t' -v baseline="$BASELINE" -v made_with="$made_with" -v toolchain="$toolchain" \
    -v limit=$LIMIT -v other_limit=$LIMIT_OTHER_COMPILER '
    function complain(text) { complaints = complaints text "\n" }
    FILENAME == baseline && /^#/ { next }
    FILENAME == baseline {
      if (NF != 2 || $2 !~ /^[0-9]+(\.[0-9]+)?$/ || $2 + 0 == 0)
        complain(baseline ", line " FNR ": not a case, a tab and a count above 0: " $0)
      else
        before[$1] = $2
      next
    }
    !header++ {
      printf "%-32s %12s %12s %9s\n", "instructions per iteration", "baseline", "now", "change"
      if (made_with != toolchain) fail_above = other_limit; else fail_above = limit
    }
    !($1 in before) {
      printf "%-32s %12s %12.1f %9s\n", $1, "-", $2, "new"
      complain($1 ": not in the baseline")
      next
    }
    {
      change = ($2 / before[$1] - 1) * 100
      printf "%-32s %12.1f %12.1f %+7.1f %%\n", $1, before[$1], $2, change
      if (change > fail_above)
        complain(sprintf("%s: %.1f %% more instructions than its baseline; %d %% are allowed", $1, change, fail_above))
      else if (change > limit || change < -limit)
        warnings = warnings sprintf("warning: %s: %.1f %% %s instructions than its baseline\n", $1,
          change < 0 ? -change : change, change < 0 ? "fewer" : "more")
      delete before[$1]
    }
    END {
      for (name in before) complain(name ": in the baseline, but no longer a case")
      if (made_with != toolchain)
        print "The baseline was made with " made_with ", this with " toolchain ": up to " other_limit " % are allowed."
      printf "%s", warnings
      if (complaints == "") exit 0
      printf "%sIf this is meant, accept it: scripts/instructions.sh --accept, and commit %s.\n", complaints, baseline
      exit 1
    }' "$BASELINE" "$work/now"
}

command -v valgrind >/dev/null || install_packages valgrind
step "build" build
step "count" measure_all
if [ "${1:-}" = --accept ]; then
  { echo "# $toolchain"; cat "$work/now"; } >"$BASELINE"
  echo "$(wc -l <"$work/now") cases are the new baseline: see git diff $BASELINE"
else
  compare
fi
