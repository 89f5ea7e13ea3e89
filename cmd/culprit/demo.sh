#!/usr/bin/env bash
# demo.sh CULPRIT OUT: plant a fault in a real shop, load it, let culprit say
# what is wrong. Where the real system cannot run, say so and analyze recorded
# evidence instead. Never the second without saying it.
set -euo pipefail

culprit=$(realpath "$1")
out=$2
scenario=${SCENARIO:-n-plus-one}
top=$(cd "$(dirname "$0")/../.." && pwd)
lab=${TMPDIR:-/tmp}/culprit-demo-$$ # of its own: another lab may be up
mkdir -p "$out"

say() { printf '\n== %s\n' "$*" >&2; }

# The demo does without Jaeger, which takes minutes to build: culprit itself
# receives the traces.
live() {
  say "live: a shop on PostgreSQL and Redis with the fault '$scenario' planted, watched by Prometheus, loaded by k6"
  (cd "$top/testdata/lab" && go run . --otlp --dir "$lab" --culprit "$culprit" -o "$out" run "$scenario")
}

recorded() {
  local file="$top/testdata/scenarios/$scenario/run.culprit"
  say "NOT LIVE: $1"
  say "instead: analyzing the evidence of an earlier live run, $file"
  mkdir -p "$out/$scenario"
  "$culprit" analyze "$file" -o "$out/$scenario"
}

rm -rf "${out:?}/$scenario" # no report of an earlier demo may pass for this one's
say "what is here, and what has to be fetched"
if (cd "$top/testdata/lab" && go run . --otlp --fix doctor) >&2; then
  code=0
  live || code=$?
  case $code in
    0) ;;
    3) say "the live run was not diagnosed as it should be; its report follows" ;;
    *) recorded "the live run failed, see above" ;;
  esac
else
  recorded "what is named above is missing and could not be installed"
fi

report="$out/$scenario/report"
[ -f "$report.md" ] || { say "no report was written"; exit 1; }
cat "$report.md"
say "the same as one HTML page: $report.html"
