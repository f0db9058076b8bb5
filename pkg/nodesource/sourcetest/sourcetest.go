// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package sourcetest is what every nodesource.Source must pass, the fake too.
package sourcetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

const soon = 30 * time.Second

// Run the suite on a source that gives, or will soon give, at least one prefix. change makes it give another one.
func Run(t *testing.T, source nodesource.Source, change func()) {
	t.Helper()
	g, ctx := gomega.NewWithT(t), context.Background()
	ask := func() []nodesource.Prefix {
		ps, err := source.Prefixes(ctx)
		if err != nil {
			t.Log("no prefix yet: ", err)
		}
		return ps
	}
	g.Eventually(ask).WithTimeout(soon).ShouldNot(gomega.BeEmpty(), "it gives a prefix")
	first := ask()
	for _, p := range first {
		g.Expect(nodesource.Rule{}.Check(p.Prefix)).To(gomega.Succeed())
		g.Expect(p.Origin).NotTo(gomega.BeEmpty(), "people want to know where it is from")
		if !p.ValidUntil.IsZero() {
			g.Expect(p.ValidUntil).To(gomega.BeTemporally(">", time.Now()), "what has ended is not given")
		}
	}
	g.Expect(nodesource.Sort(slices.Clone(first))).To(gomega.Equal(first), "sorted, and none twice")

	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err := source.Prefixes(gone)
	g.Expect(err).To(gomega.HaveOccurred(), "a context that has ended is heeded")

	g.Expect(source.Changed()).To(gomega.Equal(source.Changed()), "always the same channel")
	ask() // after the error above, any answer is news
	drain(source.Changed())
	change()
	g.Eventually(source.Changed()).WithTimeout(soon).Should(gomega.Receive(), "a change is told")
	g.Eventually(func() bool { return nodesource.Same(ask(), first) }).WithTimeout(soon).Should(gomega.BeFalse(), "and to be seen")

	g.Expect(source.Close(ctx)).To(gomega.Succeed())
	g.Expect(source.Close(ctx)).To(gomega.Succeed(), "again")
	_, err = source.Prefixes(ctx)
	g.Expect(err).To(gomega.MatchError(nodesource.ErrClosed))
}

func drain(changed <-chan struct{}) {
	select {
	case <-changed:
	default:
	}
}
