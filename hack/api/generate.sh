#!/usr/bin/env bash
# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

# Generates what follows from the API types: deep copies, conversions, defaults, the CustomResourceDefinition and the API
# reference; and writes the version of the repository into the charts, the image vector and the examples. The generators are pinned in hack/tools/codegen and built once a version, into the cache outside the work tree.
set -euo pipefail
cd "$(dirname "$0")/../.."
module=$(go list -m)
header=hack/api/header.go.txt
crds=charts/gardener-extension-networking-ipv6/templates/crds

tools=hack/tools/codegen
version=$(cat $tools/go.mod $tools/go.sum <(go env GOVERSION) | sha256sum | cut -c1-16)
bin=${XDG_CACHE_HOME:-$HOME/.cache}/gardener-extension-networking-ipv6/codegen/$version
if [ ! -d "$bin" ]; then
  start=$SECONDS
  echo "building the code generators ..."
  rm -rf "$bin.new"
  mkdir -p "$bin.new"
  go -C $tools build -ldflags '-s -w' -o "$bin.new/" tool
  mv "$bin.new" "$bin" # whole or not at all: an interrupted build is not taken for a finished one
  echo "built the code generators in $((SECONDS - start))s"
fi

step() { # step NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  "$@"
  printf '%-16s %ds\n' "$name" $((SECONDS - start))
}

internal=("$module/pkg/apis/ipv6" "$module/pkg/apis/config")
served=("$module/pkg/apis/ipv6/v1alpha1" "$module/pkg/apis/config/v1alpha1")

step deepcopy "$bin/deepcopy-gen" --go-header-file $header --output-file zz_generated.deepcopy.go "${internal[@]}" "${served[@]}"
step defaults "$bin/defaulter-gen" --go-header-file $header --output-file zz_generated.defaults.go "${served[@]}"
step conversion "$bin/conversion-gen" --go-header-file $header --output-file zz_generated.conversion.go "${served[@]}"
step crds "$bin/controller-gen" crd paths=./pkg/apis/ipv6/v1alpha1 output:crd:dir=$crds
for group in ipv6 config; do
  step "docs $group" "$bin/crd-ref-docs" --log-level WARN --config hack/api/docs.yaml --renderer markdown --max-depth 12 \
    --source-path "pkg/apis/$group/v1alpha1" --output-path "docs/api/$group-v1alpha1.md"
done

versions() {
  local version
  version=$(cat VERSION)
  sed -i -e "s/^version: .*/version: ${version#v}/" -e "s/^appVersion: .*/appVersion: $version/" \
    charts/gardener-extension-networking-ipv6/Chart.yaml charts/gardener-extension-admission-ipv6/charts/*/Chart.yaml
  sed -i -e "/^image:/,/^[^ ]/s/^  tag: .*/  tag: $version/" charts/gardener-extension-networking-ipv6/values.yaml charts/gardener-extension-admission-ipv6/charts/runtime/values.yaml
  sed -i -e "s/^    tag: .*/    tag: $version/" charts/images.yaml
  sed -i -E "s#(/charts/[a-z0-9-]+):[^ ]+\$#\1:${version#v}#" example/controller-registration*.yaml example/extension.yaml
}
step versions versions
