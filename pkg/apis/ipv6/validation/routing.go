// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

const (
	// maxASN is the last number of four bytes that is not reserved (RFC 6793, RFC 7300).
	maxASN = 1<<32 - 2
	// maxHoldTime and maxRestartTime are what the fields of 16 bits (RFC 4271, 4.2) and 12 bits (RFC 4724, 3) take.
	maxHoldTime    = 65535 * time.Second
	minHoldTime    = 3 * time.Second
	maxRestartTime = 4095 * time.Second
)

// reservedASNs can be nobody's.
var reservedASNs = map[int64]string{
	23456: "it stands for numbers of four bytes (RFC 6793)",
	65535: "it is reserved (RFC 7300)",
}

func validateRouting(routing *v1alpha1.Routing, path *field.Path) field.ErrorList {
	if routing == nil {
		return nil
	}
	var errs field.ErrorList
	mode := ptr.Deref(routing.Mode, v1alpha1.RoutingModeDirect)
	errs = append(errs, validateOneOf(mode, routingModes, path.Child("mode"))...)
	bgpPath := path.Child("bgp")
	switch {
	case routing.BGP == nil && mode == v1alpha1.RoutingModeBGP:
		errs = append(errs, field.Required(bgpPath, "mode BGP needs to know at least asn, and the peers"))
	case routing.BGP == nil:
	case mode != v1alpha1.RoutingModeBGP:
		errs = append(errs, field.Forbidden(bgpPath, fmt.Sprintf("is for mode %s, but mode is %s; set mode to %s, or leave bgp out", v1alpha1.RoutingModeBGP, mode, v1alpha1.RoutingModeBGP)))
	default:
		errs = append(errs, validateBGP(routing.BGP, bgpPath)...)
	}
	return errs
}

func validateBGP(bgp *v1alpha1.BGP, path *field.Path) field.ErrorList {
	errs := validateASN(bgp.ASN, path.Child("asn"))
	if len(bgp.Peers) == 0 && !bgp.NodeMesh {
		errs = append(errs, field.Required(path.Child("peers"), "without a peer, and without nodeMesh, the nodes tell nobody of their prefixes"))
	}
	if g := bgp.GracefulRestart; g != nil {
		errs = append(errs, validateSeconds(g.RestartTime, time.Second, maxRestartTime, "120s", path.Child("gracefulRestart", "restartTime"))...)
	}
	for i, peer := range bgp.Peers {
		at := path.Child("peers").Index(i)
		errs = append(errs, validatePeer(peer, bgp.ASN, at)...)
		if k := slices.IndexFunc(bgp.Peers[:i], func(earlier v1alpha1.BGPPeer) bool { return hides(earlier, peer) }); k >= 0 {
			errs = append(errs, field.Invalid(at, peerName(peer), fmt.Sprintf("is the same router as peers[%d], which all of these nodes have already, and the first one counts; leave one of the two out, or give them nodeSelectors of which no node matches both", k)))
		}
	}
	return errs
}

// hides tells whether every node that has the later peer has the earlier one, which is the same router.
func hides(earlier, later v1alpha1.BGPPeer) bool {
	return ptr.Equal(earlier.Address, later.Address) && earlier.DefaultGateway == later.DefaultGateway && covers(labelsOf(earlier.NodeSelector), labelsOf(later.NodeSelector))
}

func peerName(p v1alpha1.BGPPeer) string {
	if p.Address == nil {
		return "defaultGateway"
	}
	return *p.Address
}

func validateASN(asn int64, path *field.Path) field.ErrorList {
	const private = "private ones are 64512 to 65534 and 4200000000 to 4294967294 (RFC 6996)"
	if asn < 1 || asn > maxASN {
		return field.ErrorList{field.Invalid(path, asn, fmt.Sprintf("must be from 1 to %d; %s", int64(maxASN), private))}
	}
	if why := reservedASNs[asn]; why != "" {
		return field.ErrorList{field.Invalid(path, asn, fmt.Sprintf("can be nobody's number: %s; %s", why, private))}
	}
	return nil
}

// validateSeconds judges a time that is told in whole seconds.
func validateSeconds(d *metav1.Duration, least, most time.Duration, usual string, path *field.Path) field.ErrorList {
	if d == nil || d.Duration >= least && d.Duration <= most && d.Duration%time.Second == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, d.Duration.String(), fmt.Sprintf("must be whole seconds from %s to %s; without it it is %s", inSeconds(least), inSeconds(most), usual))}
}

func inSeconds(d time.Duration) string { return strconv.Itoa(int(d/time.Second)) + "s" }

func validatePort(port *int32, usual int, path *field.Path) field.ErrorList {
	if port == nil || *port >= 1 && *port <= 65535 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *port, fmt.Sprintf("must be from 1 to 65535; without it it is %d", usual))}
}
