// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package fastpath

import _ "embed"

// object is bpf/fastpath.c as hack/bpf.sh compiles it. It is the same for every machine of this byte order.
//
//go:embed bpf/fastpath.o
var object []byte
