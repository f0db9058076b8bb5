#!/usr/bin/env bash
# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

# Fails if `make generate` would change a file. Works on a copy, so that the work tree stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null -T - --ignore-failed-read -cf - | tar -C "$copy" -xf -
cd "$copy"
git init -q
git add -A
hack/api/generate.sh
git add -A -N
if ! git diff --exit-code --stat; then
  echo "generated files are not up to date: run 'make generate' and commit the result" >&2
  exit 1
fi
echo "generated files are up to date"
