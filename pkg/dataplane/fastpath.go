// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dataplane

// FastPath takes the packets of pods' established, untranslated connections past the node's stack. All of its methods are idempotent, and
// a packet that it does not serve goes the ordinary way: it may fail, and may end with its process, at the cost of speed.
type FastPath interface {
	// Uplink names the interface to the rest of the world, with its packets of both directions.
	Uplink(name string) error
	// Add serves a pod by its wire, which exists.
	Add(w Wire) error
	// Remove ceases to serve the pod with this host's end, if it is served; from then on every packet of it passes the node's firewall.
	// It must be called before the wire goes or its address is given to another.
	Remove(hostInterface string) error
}
