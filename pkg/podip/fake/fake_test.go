// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package fake_test

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/podiptest"
)

func TestConformance(t *testing.T) {
	podiptest.Run(t, func(*testing.T) func() podip.Store {
		s := fake.New()
		return func() podip.Store { return s }
	})
}

func TestFaults(t *testing.T) {
	g := NewWithT(t)
	s, oops := fake.New(), errors.New("oops")
	s.Inject(fake.Fault{Call: "Put", Err: oops}, fake.Fault{Call: "Put", After: true, Err: oops})
	g.Expect(s.Put(t.Context(), podiptest.Record("a"))).To(MatchError(oops))
	g.Expect(s.Dump()).To(BeEmpty())
	g.Expect(s.Put(t.Context(), podiptest.Record("a"))).To(MatchError(oops))
	g.Expect(s.Dump()).To(Equal("a/eth0 2001:db8::1,10.0.0.1\n"))
	g.Expect(s.Put(t.Context(), podiptest.Record("b"))).To(Succeed(), "faults are used up")
}
