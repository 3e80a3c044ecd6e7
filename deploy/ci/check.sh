#!/usr/bin/env bash
# What the GitHub Action and CodeBuild run: compares as the environment says (REFERENCE or BASELINE, CURRENT,
# FAIL_ON, KIND, SARIF, HTML), tells the workflow, and ends as `driftline check` does.
set -euo pipefail
driftline=${DRIFTLINE:-driftline}
arguments=(--current "${CURRENT:?names the rows to compare}")
[ -z "${REFERENCE:-}" ] || arguments+=(--reference "$REFERENCE")
[ -z "${BASELINE:-}" ] || arguments+=(--baseline "$BASELINE")
[ -z "${KIND:-}" ] || arguments+=(--kind "$KIND")
html=()
[ -z "${HTML:-}" ] || html=(--html "$HTML")

# Annotations on stdout; the exit code is that of this run.
code=0
"$driftline" check "${arguments[@]}" "${html[@]}" --fail-on "${FAIL_ON:-alarm}" --format github || code=$?
[ "$code" -le 1 ] || exit "$code"
again() { "$driftline" check "${arguments[@]}" --fail-on "${FAIL_ON:-alarm}" --format "$1" 2>/dev/null || [ $? = 1 ]; }
[ -z "${SARIF:-}" ] || again sarif >"$SARIF"
[ -z "${JUNIT:-}" ] || again junit >"$JUNIT"
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || again markdown >>"$GITHUB_STEP_SUMMARY"
[ -z "${GITHUB_OUTPUT:-}" ] || again json |
    python3 -c 'import json, sys; print("level=" + json.load(sys.stdin)["level"])' >>"$GITHUB_OUTPUT"
exit "$code"
