// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbcontroller

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// serviceOf takes from a Service what the decision depends on.
func (c *Controller) serviceOf(svc *corev1.Service) (lbip.Service, error) {
	version, err := strconv.ParseUint(svc.ResourceVersion, 10, 64)
	if err != nil {
		return lbip.Service{}, fmt.Errorf("the resourceVersion %q of Service %s is no number, so that older cannot be told from newer", svc.ResourceVersion, nameOf(svc))
	}
	s := lbip.Service{
		Name: nameOf(svc), UID: string(svc.UID), Version: version, Wants: c.ours(svc),
		AllFamilies: ptr.Deref(svc.Spec.IPFamilyPolicy, "") == corev1.IPFamilyPolicyRequireDualStack,
		Pool:        svc.Annotations[AnnotationPool],
	}
	for _, f := range svc.Spec.IPFamilies {
		s.Families = append(s.Families, map[corev1.IPFamily]prefix.Family{corev1.IPv4Protocol: prefix.IPv4, corev1.IPv6Protocol: prefix.IPv6}[f])
	}
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		// A host name stands for no address of ours.
		if a, ok := addressOf(ingress.IP); ok {
			s.Holds = append(s.Holds, a)
		}
	}
	for _, text := range svc.Spec.ExternalIPs {
		if a, ok := addressOf(text); ok {
			s.Uses = append(s.Uses, a)
		}
	}
	if s.Wants {
		s.Requested, s.Invalid = requested(svc)
	}
	return s, nil
}

// addressOf reads an address as kube-proxy does, which takes IPv4 in the form of IPv6 and with leading zeros for what it means.
func addressOf(text string) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(text))
	return a.Unmap(), ok
}

// ours tells whether we are asked for the Service's addresses. One that is being deleted gets none any more; one that has a host name has
// it from the load balancer controller of a cloud.
func (c *Controller) ours(svc *corev1.Service) bool {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || svc.DeletionTimestamp != nil {
		return false
	}
	if svc.Spec.LoadBalancerClass == nil {
		return !c.options.ClassOnly && !slices.ContainsFunc(svc.Status.LoadBalancer.Ingress, func(i corev1.LoadBalancerIngress) bool { return i.Hostname != "" })
	}
	return *svc.Spec.LoadBalancerClass == Class
}

// requested addresses, or why they can't be understood.
func requested(svc *corev1.Service) (addrs []netip.Addr, invalid string) {
	texts := strings.FieldsFunc(svc.Annotations[AnnotationAddresses], func(r rune) bool { return r == ',' || r == ' ' })
	where := "the annotation " + AnnotationAddresses
	if len(texts) == 0 && svc.Spec.LoadBalancerIP != "" {
		texts, where = []string{svc.Spec.LoadBalancerIP}, "spec.loadBalancerIP"
	}
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return nil, fmt.Sprintf("%s asks for %q, which is no address; write one a family, separated by commas, such as 2001:db8::7,192.0.2.7", where, text)
		}
		if slices.ContainsFunc(addrs, func(b netip.Addr) bool { return a.Is4() == b.Is4() }) {
			return nil, fmt.Sprintf("%s asks for two %s addresses; a Service gets one a family", where, prefix.FamilyOf(a))
		}
		addrs = append(addrs, a)
	}
	return addrs, ""
}

func nameOf(svc *corev1.Service) string { return svc.Namespace + "/" + svc.Name }

func joined(addrs []netip.Addr) string {
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}
