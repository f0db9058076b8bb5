#!/usr/bin/env bash
# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

# Static checks of code, charts, shell and docs. Runs all of them and reports every failure. $1 is the folder of the linters.
set -uo pipefail
tools=$1
cd "$(dirname "$0")/.." || exit 1
module=$(go list -m)
failed=()

run() { # run NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  if "$@"; then
    printf 'ok      %-14s %ds\n' "$name" $((SECONDS - start))
  else
    printf 'FAILED  %-14s %ds\n' "$name" $((SECONDS - start))
    failed+=("$name")
  fi
}

formatted() {
  local out
  mapfile -t files < <(git ls-files '*.go' | grep -v zz_generated)
  out=$("$tools/goimports" -local "$module" -l "${files[@]}")
  [ -z "$out" ] || { printf 'not formatted (make format):\n%s\n' "$out"; return 1; }
}

shell() {
  mapfile -t files < <(git ls-files '*.sh' .ci/run)
  shellcheck "${files[@]}"
}

vulnerabilities() {
  local out
  # The vulnerability database is on the network; where it can't be had the check says so and does not fail.
  if out=$("$tools/govulncheck" ./cmd/... 2>&1); then
    return 0
  elif grep -qE 'fetching vulnerabilities|no such host|Forbidden|connection refused|timeout' <<<"$out"; then
    echo "LEFT OUT: govulncheck can't reach its database from here"
    return 0
  fi
  echo "$out"
  return 1
}

run format formatted
run vet go vet ./...
run bpf hack/bpf.sh check
run golangci-lint "$tools/golangci-lint" run --timeout 15m
run charts go run ./hack/chartcheck
run alerts go -C hack/tools/promrules test -count=1 ./... # the test cache does not see files of another module
run links go run ./hack/linkcheck
run shellcheck shell
run govulncheck vulnerabilities

[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
