#!/usr/bin/env bash
# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

# Names, all at once, the programs that the tests and the landscape need and that are missing here.
# With --install it installs them from Debian's packages.
set -euo pipefail

# package:program that tells whether it is there
wanted=(
  nftables:nft conntrack:conntrack iproute2:ip busybox-static:busybox runc:runc bind9-dnsutils:dig
  curl:curl netcat-openbsd:nc iperf:iperf wget:wget iputils-ping:ping procps:ps gcc:gcc
  bird2:bird frr:vtysh kea-dhcp6-server:kea-dhcp6 radvd:radvd
  tcpdump:tcpdump shellcheck:shellcheck ca-certificates:update-ca-certificates git:git make:make
)
missing=()
for w in "${wanted[@]}"; do
  command -v "${w#*:}" >/dev/null || [ -x "/usr/sbin/${w#*:}" ] || missing+=("${w%%:*}")
done
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "${1:-}" = --install ]; then
  echo "installing: ${missing[*]}"
  # The routers and DHCP servers are for the tests' namespaces: nothing of them is to be started on this host.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}"
  exit 0
fi
echo "missing here: ${missing[*]}" >&2
echo "on Debian:    apt-get install -y --no-install-recommends ${missing[*]}" >&2
exit 1
