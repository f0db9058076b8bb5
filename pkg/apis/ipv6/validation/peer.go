// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// maxUint32 is what the fields of 32 bits take.
const maxUint32 = 1<<32 - 1

var (
	importModes = []v1alpha1.ImportMode{v1alpha1.ImportAll, v1alpha1.ImportDefault, v1alpha1.ImportNone}
	families    = []v1alpha1.IPFamily{v1alpha1.IPv4, v1alpha1.IPv6}
)

// validatePeer judges a peer of nodes that have the number own.
func validatePeer(peer v1alpha1.BGPPeer, own int64, path *field.Path) field.ErrorList {
	errs, onLink := validatePeerAddress(peer, path)
	errs = append(errs, validateASN(peer.ASN, path.Child("asn"))...)
	errs = append(errs, validatePort(peer.Port, 179, path.Child("port"))...)
	errs = append(errs, validateMultihop(peer, own, onLink, path.Child("ebgpMultihop"))...)
	errs = append(errs, validatePassword(peer, onLink, path.Child("passwordSecretName"))...)
	errs = append(errs, validateSeconds(peer.HoldTime, minHoldTime, maxHoldTime, "90s", path.Child("holdTime"))...)
	errs = append(errs, validateSeconds(peer.ConnectRetryTime, time.Second, maxHoldTime, "5s", path.Child("connectRetryTime"))...)
	for i, f := range peer.Families {
		at := path.Child("families").Index(i)
		errs = append(errs, validateOneOf(f, families, at)...)
		if slices.Contains(peer.Families[:i], f) {
			errs = append(errs, field.Duplicate(at, f))
		}
	}
	errs = append(errs, validateImport(peer, path)...)
	errs = append(errs, validateCommunities(peer.Communities, path.Child("communities"))...)
	if p := peer.LocalPreference; p != nil {
		at := path.Child("localPreference")
		if peer.ASN != own {
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("is told to internal peers only, but this one has AS %d and the nodes have AS %d; routers of another AS go by communities", peer.ASN, own)))
		} else if *p < 1 || *p > maxUint32 {
			errs = append(errs, field.Invalid(at, *p, fmt.Sprintf("must be from 1 to %d; without it it is 100", int64(maxUint32))))
		}
	}
	return append(errs, validateSelector(peer.NodeSelector, path.Child("nodeSelector"))...)
}

// validatePeerAddress also tells whether the peer is spoken to by an address of the link.
func validatePeerAddress(peer v1alpha1.BGPPeer, path *field.Path) (errs field.ErrorList, onLink bool) {
	at := path.Child("address")
	switch {
	case peer.Address == nil && !peer.DefaultGateway:
		return field.ErrorList{field.Required(at, "say which router it is: either its address, or defaultGateway: true")}, false
	case peer.Address == nil:
		return nil, true
	case peer.DefaultGateway:
		errs = append(errs, field.Forbidden(path.Child("defaultGateway"), "either address or defaultGateway can be given, not both"))
	}
	text := *peer.Address
	fail := func(format string, args ...any) {
		errs = append(errs, field.Invalid(at, text, fmt.Sprintf(format, args...)))
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		fail("must be an IP address, for example 2001:db8::1, or fe80::1%%eth0")
		return errs, false
	}
	onLink = a.Is6() && a.IsLinkLocalUnicast()
	switch {
	case a.Is4In6():
		fail("must be written as the IPv4 address that it is, %s", a.Unmap())
	case a.IsUnspecified(), a.IsMulticast(), a.IsLoopback():
		fail("can be no router's address")
	case onLink && a.Zone() == "":
		fail("is an address of the link: it needs the nodes' interface, as in %s%%eth0", a)
	case onLink:
		if why := badInterface(a.Zone()); why != "" {
			fail("%q behind the %% %s", a.Zone(), why)
		}
	case a.Zone() != "":
		fail("is no address of the link and takes no interface; write %s", a.WithZone(""))
	}
	if len(errs) == 0 && a.String() != text {
		fail("must be written in its canonical form, %s", a)
	}
	return errs, onLink
}

func validateMultihop(peer v1alpha1.BGPPeer, own int64, onLink bool, path *field.Path) field.ErrorList {
	hops := peer.EBGPMultihop
	switch {
	case hops == nil:
		return nil
	case *hops < 1 || *hops > 255:
		return field.ErrorList{field.Invalid(path, *hops, "must be from 1 to 255, the number of hops; without it the router is on the nodes' link")}
	case peer.ASN == own:
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("is for external peers, but this one has the nodes' own AS %d; internal ones may be any number of hops away", own))}
	case onLink && *hops > 1:
		return field.ErrorList{field.Forbidden(path, "a router that is spoken to by an address of the link, as a default gateway is, is no hop away")}
	}
	return nil
}

func validatePassword(peer v1alpha1.BGPPeer, onLink bool, path *field.Path) field.ErrorList {
	name := peer.PasswordSecretName
	if name == nil {
		return nil
	}
	if problems := utilvalidation.IsDNS1123Subdomain(*name); len(problems) > 0 {
		return field.ErrorList{field.Invalid(path, *name, "must be the name of a Secret in the namespace kube-system: "+strings.Join(problems, "; "))}
	}
	if onLink {
		return field.ErrorList{field.Forbidden(path, "there are no passwords on sessions by addresses of the link, as default gateways have them; name the router's global address")}
	}
	return nil
}

func validateImport(peer v1alpha1.BGPPeer, path *field.Path) field.ErrorList {
	mode := ptr.Deref(peer.Import, v1alpha1.ImportNone)
	errs := validateOneOf(mode, importModes, path.Child("import"))
	if limit, at := peer.ImportLimit, path.Child("importLimit"); limit != nil {
		if mode == v1alpha1.ImportNone {
			errs = append(errs, field.Forbidden(at, "limits what import lets in, and import is None; set import to Default or All, or leave the limit out"))
		} else if *limit < 1 || *limit > maxUint32 {
			errs = append(errs, field.Invalid(at, *limit, fmt.Sprintf("must be from 1 to %d routes a family; without it it is 1000", int64(maxUint32))))
		}
	}
	return errs
}

func validateCommunities(texts []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, text := range texts {
		if _, err := bgp.ParseCommunity(text); err != nil {
			errs = append(errs, field.Invalid(path.Index(i), text, "must be two numbers up to 65535, as in 65000:100, or no-export, no-advertise, no-peer"))
		}
		if slices.Contains(texts[:i], text) {
			errs = append(errs, field.Duplicate(path.Index(i), text))
		}
	}
	return errs
}

func validateSelector(selector *v1alpha1.NodeSelector, path *field.Path) field.ErrorList {
	return metav1validation.ValidateLabels(labelsOf(selector), path.Child("matchLabels"))
}

func labelsOf(selector *v1alpha1.NodeSelector) map[string]string {
	if selector == nil {
		return nil
	}
	return selector.MatchLabels
}
