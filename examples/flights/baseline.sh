#!/usr/bin/env bash
# Writes baseline.json, with which the demo compares: January to March, predictions out of fold.
# The values of the environment stand in for those that the demo fills in; no baseline depends on them.
set -euo pipefail
cd "$(dirname "$0")"
driftline=${DRIFTLINE:-cargo run --quiet --bin driftline --}
zeros=$(printf '0%.0s' {1..64})
DEMO_BOOTSTRAP=localhost:9092 DEMO_LISTEN=127.0.0.1:9464 DEMO_TOKEN=none DEMO_SPRING_SHA256=$zeros \
DEMO_RECENT_SHA256=$zeros DEMO_RECENT_UNTIL=2013-07-01T00:00:00Z \
DEMO_WEBHOOK=http://localhost:8080/retrain DEMO_SECRET=whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA \
    $driftline baseline --config driftline.yaml --data baseline-rows.parquet --time departed \
    --rename label=prediction:label --rename score=prediction:score --predictions held-out --out baseline.json
