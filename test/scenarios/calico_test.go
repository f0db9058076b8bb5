// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/capture"
)

func podOn(node string, addresses ...string) *corev1.Pod {
	pod := &corev1.Pod{Status: corev1.PodStatus{HostIP: node}}
	for _, a := range addresses {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: a})
	}

	return pod
}

func opening(from, to string) capture.Packet {
	return capture.Packet{
		Source: netip.MustParseAddr(from), Destination: netip.MustParseAddr(to), Protocol: unix.IPPROTO_TCP, DestinationPort: webPort, SYN: true,
	}
}

func inVXLAN(from, to string, inner capture.Packet) capture.Packet {
	return capture.Packet{
		Source: netip.MustParseAddr(from), Destination: netip.MustParseAddr(to), Protocol: unix.IPPROTO_UDP, DestinationPort: 4789, Inner: &inner,
	}
}

func TestWhatIsSaidOfWrappedPackets(t *testing.T) {
	one, two := podOn("10.250.0.11", "100.96.0.1", "fd00::1"), podOn("10.250.0.12", "100.96.1.1", "fd00:1::1")
	plain := opening("fd00::1", "fd00:1::1")

	for name, test := range map[string]struct {
		packets []capture.Packet
		wrapped bool
		want    string
	}{
		"wrapped as it shall be": {[]capture.Packet{inVXLAN("10.250.0.11", "10.250.0.12", plain)}, true, ""},
		"plain as it shall be":   {[]capture.Packet{plain, plain}, false, ""},
		"wrapped": {
			[]capture.Packet{inVXLAN("10.250.0.11", "10.250.0.12", plain)}, false,
			"from fd00::1 to fd00:1::1: wrapped is true instead of false",
		},
		"plain":   {[]capture.Packet{plain}, true, "from fd00::1 to fd00:1::1: wrapped is false instead of true"},
		"both":    {[]capture.Packet{plain, inVXLAN("10.250.0.11", "10.250.0.12", plain)}, true, "from fd00::1 to fd00:1::1: wrapped is true, not wrapped is true"},
		"nothing": {nil, true, "from fd00::1 to fd00:1::1: wrapped is false, not wrapped is false"},
		"a detour": {
			[]capture.Packet{inVXLAN("10.250.0.11", "10.250.1.13", plain)}, true,
			"from fd00::1 to fd00:1::1: wrapped from 10.250.0.11 to 10.250.1.13 instead of from node 10.250.0.11 to node 10.250.0.12",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := openings(test.packets).check(one, two, true, test.wrapped)
			if test.want == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())

				return
			}

			NewWithT(t).Expect(err).To(MatchError(test.want))
		})
	}
}
