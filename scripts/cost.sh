#!/usr/bin/env bash
# What a record costs the service: processor time, rate, memory. Small seldon requests, one model that answers at once, 1,000
# records in flight, a real broker, all on this machine. Leave the machine alone meanwhile.
#
#   scripts/cost.sh                              100,000 records
#   MILLRACE_COST_RECORDS=20000 scripts/cost.sh
#   MILLRACE_COST_IN_FLIGHT=200 MILLRACE_COST_MODEL_MS=50 scripts/cost.sh
#   scripts/cost.sh --profile                    and where the time goes, with perf, in target/cost.perf.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=
case ${1:-} in
  '') ;;
  --profile) profile=1; command -v perf >/dev/null || { echo "cost.sh: perf is not installed" >&2; exit 69; } ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac

run=(cargo test --release --test cost -- --ignored --nocapture)
if [ -n "$profile" ]; then
  # Names of functions are wanted then, which the release profile strips.
  export CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
  cargo test --release --test cost --no-run
  perf record -F 499 -g -o target/cost.perf -- "${run[@]}" | tee target/cost.txt
  pid=$(awk '$1 == "process" { print $2 }' target/cost.txt)
  perf report -i target/cost.perf --pid "$pid" --percentage relative --sort symbol --no-children --stdio -g none --percent-limit 0.3 >target/cost.perf.txt
  echo "profile: target/cost.perf.txt"
else
  "${run[@]}"
fi
