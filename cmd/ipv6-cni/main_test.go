// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
)

// TestValidAttachments: what a garbage collection may take for rubbish.
func TestValidAttachments(t *testing.T) {
	a := []cnirpc.Attachment{{ContainerID: "a", Interface: "eth0"}}
	for _, c := range []struct {
		what, stdin string
		want        []cnirpc.Attachment
		err         string
	}{
		{"one", `{"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}]}`, a, ""},
		{"the other name", `{"cni.dev/attachments": [{"containerID": "a", "ifname": "eth0"}]}`, a, ""},
		{"both", `{"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}], "cni.dev/attachments": []}`, a, ""},
		{"none is valid", `{"cni.dev/valid-attachments": []}`, []cnirpc.Attachment{}, ""},
		{"none is valid, as Go says it", `{"cni.dev/valid-attachments": null}`, []cnirpc.Attachment{}, ""},
		{"none is valid, as the CNI library says it", `{"name": "ipv6"}`, nil, ""},
		{"nonsense", `{"cni.dev/valid-attachments": "a"}`, nil, "the valid attachments are not understood"},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := NewWithT(t)
			got, err := validAttachments([]byte(c.stdin))
			if c.err != "" {
				g.Expect(err).To(MatchError(HavePrefix(c.err)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(c.want))
		})
	}
}
