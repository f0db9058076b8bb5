#!/usr/bin/env bash
# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

# Builds the pinned linters into the folder $1, unless those of this go.sum are there already.
set -euo pipefail
bin=$1
cd "$(dirname "$0")"
stamp=$bin/.lint-tools
want=$(cat go.mod go.sum build.sh | sha256sum; go env GOVERSION)
[ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && exit 0
mkdir -p "$bin"
for p in golang.org/x/tools/cmd/goimports golang.org/x/vuln/cmd/govulncheck github.com/golangci/golangci-lint/v2/cmd/golangci-lint; do
  start=$SECONDS
  echo "building $(basename $p) ..."
  go build -ldflags '-s -w' -o "$bin/$(basename $p)" "$p"
  echo "built $(basename $p) in $((SECONDS - start))s"
done
echo "$want" >"$stamp"
