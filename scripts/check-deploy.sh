#!/usr/bin/env bash
# Checks what deploy/ holds: the scrape configuration, the alert rules with their tests, the dashboard's queries.
# check-deploy.sh [SCRAPE]: with a file of what /metrics answered, also that each metric they ask for is there.
scrape=${1:+$(realpath -m "$1")}
. "$(dirname "$0")/lib.sh"

# Exported only once an engine has failed, because its labels are not known before. All others are there after one call.
after_events='antiphon_engine_failures_total'
# Asked for already, exported later. Take out what is exported: then its absence is noticed.
planned='antiphon_jobs_total'

rules=deploy/prometheus/antiphon.rules.yml
dashboard=deploy/grafana/antiphon.json
as_rules=$(mktemp)
trap 'rm -f "$as_rules"' EXIT

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

# Only promtool, unpacked beside the tests: Debian's package would start a server, and this needs no root.
fetch_promtool() {
  local at=tests/clients/promtool
  [ -x $at/usr/bin/promtool ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "promtool is missing: please install Prometheus, which brings it" >&2
    return 1
  fi
  rm -rf $at
  mkdir -p $at
  if ! (cd $at && apt-get download -qq -o APT::Sandbox::User=root prometheus 2>/dev/null) &&
    ! (as_root apt-get update -qq && cd $at && apt-get download -qq -o APT::Sandbox::User=root prometheus); then
    echo "promtool is missing and cannot be fetched: run \`apt-get update\` as root, or install Prometheus" >&2
    return 1
  fi
  dpkg-deb --fsys-tarfile $at/prometheus_*.deb | tar -x -C $at ./usr/bin/promtool
  rm $at/prometheus_*.deb
}

# The dashboard's queries as recording rules: so promtool reads them too.
dashboard_rules() {
  python3 - $dashboard <<'PY'
import json, re, sys

dashboard = json.load(open(sys.argv[1]))
queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
queries += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
literal = [re.sub(r"\$\{\w+\}", "1", re.sub(r"\$__\w+", "5m", query)) for query in queries]
rules = [{"record": f"dashboard:query:{n}", "expr": query} for n, query in enumerate(literal)]
json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout)
PY
}

check_dashboard() {
  dashboard_rules >"$as_rules"
  promtool check rules "$as_rules"
}

check_metrics() { # SCRAPE
  local missing
  [ -r "$1" ] || { echo "$1 cannot be read: save what /metrics answers there" >&2; return 1; }
  promtool check metrics <"$1"
  missing=$(comm -23 \
    <(grep -ohE '\b(antiphon|process)_[a-z0-9_]+' $rules $dashboard | sort -u) \
    <({ grep -oE '^[a-zA-Z_][a-zA-Z0-9_]*' "$1"; tr -s ' \n' '\n' <<<"$after_events $planned"; } | sort -u))
  [ -z "$missing" ] && return 0
  echo "Not in $1, yet asked for in $rules or $dashboard:" >&2
  echo "$missing" >&2
  return 1
}

if ! command -v promtool >/dev/null; then
  step "fetch promtool" fetch_promtool
  PATH="$PWD/tests/clients/promtool/usr/bin:$PATH"
fi
step "scrape configuration" promtool check config deploy/prometheus/prometheus.yml
step "alert rules" promtool check rules $rules
step "tests of the alert rules" promtool test rules deploy/prometheus/antiphon.rules.test.yml
step "dashboard" check_dashboard
[ -z "$scrape" ] || step "metrics" check_metrics "$scrape"
