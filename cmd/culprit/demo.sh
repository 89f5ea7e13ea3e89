#!/usr/bin/env bash
# demo.sh CULPRIT OUT: plant a fault in a real shop, load it, let culprit say
# what is wrong. Where the real system cannot run, say so and analyze recorded
# evidence instead. Never the second without saying it.
set -euo pipefail

culprit=$(realpath "$1")
out=$2
scenario=${SCENARIO:-n-plus-one}
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
system=${TMPDIR:-/tmp}/culprit-demo-$$ # of its own: another lab may be up
rm -rf "${out:?}/$scenario"            # no report of an earlier demo may pass for this one's
mkdir -p "$out/$scenario"

say() { printf '\n== %s\n' "$*" >&2; }

# The demo does without Jaeger, which takes minutes to build: culprit itself
# receives the traces. Go run would hide the exit code.
lab() { (cd "$top/testdata/lab" && "$work/lab" --otlp --dir "$system" --culprit "$culprit" -o "$out" "$@"); }

recorded() {
  local file="$top/testdata/scenarios/$scenario/run.culprit"
  say "NOT LIVE: $1"
  say "instead: analyzing the evidence of an earlier live run, $file"
  "$culprit" analyze "$file" -o "$out/$scenario"
}

live() {
  say "live: a shop on PostgreSQL and Redis with the fault '$scenario' planted, watched by Prometheus, loaded by k6"
  local code=0
  lab run "$scenario" || code=$?
  case $code in
    0) ;;
    3) say "the live run was not diagnosed as it should be; its report follows" ;;
    *) recorded "the live run failed, see above" ;;
  esac
}

say "what is here, and what has to be fetched"
if ! (cd "$top/testdata/lab" && go build -o "$work/lab" .); then
  recorded "the lab does not build here"
elif ! lab --fix doctor >&2; then
  recorded "what is named above is missing and could not be installed"
else
  live
fi

report="$out/$scenario/report"
[ -f "$report.md" ] || { say "no report was written"; exit 1; }
cat "$report.md"
say "the same as one HTML page: $report.html"
