// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
)

// The policy of docs/ipam/aws.md allows all that is called, and nothing else: the fake knows just the actions that are used.
func TestDocumentedPolicy(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile("../../../docs/ipam/aws.md")
	g.Expect(err).NotTo(HaveOccurred())
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(page)
	g.Expect(block).To(HaveLen(2), "the policy")
	var policy struct {
		Statement []struct{ Action any }
	}
	g.Expect(json.Unmarshal(block[1], &policy)).To(Succeed())
	g.Expect(policy.Statement).To(HaveLen(2))
	g.Expect(policy.Statement[1].Action).To(Equal("ec2:CreateTags"), "for the tags of an allocation, in its own call")

	a := newAccount(t)
	r := a.reserver(t, garden)
	held, err := r.Allocate(t.Context(), reservetest.Owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(a.reserver(t, reservation.Home{GardenID: "garden-a", Seed: "seed-2"}).Claim(t.Context(), held)).To(Succeed())
	_, err = r.Usage(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	held.Seed = "seed-2"
	g.Expect(r.Release(t.Context(), held)).To(Succeed())

	var called []any
	for _, action := range a.Actions() {
		called = append(called, "ec2:"+action)
	}
	g.Expect(policy.Statement[0].Action).To(ConsistOf(called...))
}
