// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package planview

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Explain writes which ranges the address is in, and which node's prefix and pod range of them. Status are the ranges that
// were published already, as the Shoot's status has them. The chooser is nil if the operator's configuration is not known.
func Explain(w io.Writer, p plan.Plan, status map[plan.Key]netip.Prefix, chooser *Chooser, addr netip.Addr) error {
	published, err := p.PublishAdopted(nil, status)
	if err != nil {
		return err
	}
	rows := []row{{left: addr.String()}}
	var unknown []string
	for _, k := range published.Missing {
		if k.Family == prefix.FamilyOf(addr) {
			unknown = append(unknown, string(k.Range))
		}
	}
	for _, n := range keyword.Names() {
		for _, cidr := range published.Of(n) {
			if !cidr.Contains(addr) || n == keyword.Pods && sameAsNodes(published, cidr) {
				continue
			}
			rows = append(rows, row{left: "└─ " + string(n), middle: cidr.String()})
			if chooser != nil {
				rows = append(rows, chooser.reservedIn(p, plan.Key{Range: n, Family: prefix.FamilyOf(addr)})...)
			}
			rows = append(rows, explainNode(p, n, cidr, addr)...)
		}
	}
	for _, n := range keyword.Names() {
		k := plan.Key{Range: n, Family: prefix.FamilyOf(addr)}
		if fixed, ok := p.Fixed[k]; len(rows) == 1 && ok && fixed.Contains(addr) {
			rows = append(rows, row{left: "└─ " + string(n), middle: fixed.String(), right: "in your own range, but Kubernetes does not use it"})
		}
	}
	if len(rows) == 1 {
		text := "in none of the Shoot's ranges"
		if len(unknown) > 0 {
			text += " that are known; not known: " + strings.Join(unknown, ", ")
		}
		rows = append(rows, row{left: "└─ " + text})
	}
	if chooser != nil {
		rows = append(rows, chooser.poolsOf(addr)...)
	}
	return writeRows(w, rows)
}

// sameAsNodes tells pods that are published as the nodes range: what is in them is said there.
func sameAsNodes(published plan.Published, pods netip.Prefix) bool {
	for _, nodes := range published.Nodes {
		if nodes == pods {
			return true
		}
	}
	return false
}

// explainNode says which node's prefix the address is in, and which part of it.
func explainNode(p plan.Plan, n keyword.Name, cidr netip.Prefix, addr netip.Addr) []row {
	if n == keyword.Services {
		index, ok := prefix.Index(cidr, netip.PrefixFrom(addr, addr.BitLen()))
		switch {
		case ok && index == 1:
			return []row{{left: "   └─ Service", middle: addr.String(), right: "kubernetes, by convention"}}
		case ok && index == 10:
			return []row{{left: "   └─ Service", middle: addr.String(), right: "the cluster's DNS, by Gardener's convention"}}
		}
		return []row{{left: "   └─ Service", middle: addr.String()}}
	}
	for _, nr := range p.NodeRanges {
		if nr.Family != prefix.FamilyOf(addr) || nr.From != n || nr.NodeBits < cidr.Bits() {
			continue
		}
		node := netip.PrefixFrom(addr, nr.NodeBits).Masked()
		r := row{left: "   └─ node's prefix", middle: node.String()}
		if index, ok := prefix.Index(cidr, node); ok {
			r.right = fmt.Sprintf("number %d", index)
		}
		if nr.From == keyword.Pods {
			r.left = "   └─ node's pod pool"
			return []row{r}
		}
		return append([]row{r}, explainPods(nr, node, addr))
	}
	return nil
}

// explainPods says whether the address is a pod's or the node's own.
func explainPods(nr plan.NodeRange, node netip.Prefix, addr netip.Addr) row {
	part := netip.PrefixFrom(addr, nr.PodBits).Masked()
	pods, err := prefix.Child(node, nr.PodBits, nr.Child)
	switch {
	case err == nil && pods == part:
		return row{left: "      └─ pod pool", middle: pods.String(), right: "a pod's address"}
	case err == nil:
		return row{left: "      └─ beside the pod pool", middle: part.String(), right: "the node's own part; its pods are in " + pods.String()}
	default:
		return row{left: "      └─ part", middle: part.String()}
	}
}
