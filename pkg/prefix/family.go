// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package prefix holds the arithmetic on IP prefixes that the other packages share: children, covering, overlap and
// the cutting of free space. All functions are pure; prefixes are masked, results sorted.
package prefix

// Family is an IP family.
type Family uint8

// The IP families. The zero value is neither.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String is "IPv4" or "IPv6", as Kubernetes writes it.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "unknown"
}
