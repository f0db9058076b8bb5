// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configjournal_test

import (
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/configjournal"
)

// Of two who have read the same, one can write.
func TestOneOfTwoWrites(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	c := fake.NewClientBuilder().Build()
	first, err := configjournal.Read(ctx, c, "kube-system", "journal")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(configjournal.Text(first)).To(BeEmpty())

	written, outdated, err := configjournal.Write(ctx, c, first, "one", "test")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outdated).To(BeFalse())
	_, outdated, err = configjournal.Write(ctx, c, first, "another", "test")
	g.Expect(err).To(HaveOccurred())
	g.Expect(outdated).To(BeTrue(), "there was none when it was read, and there is one now")

	_, _, err = configjournal.Write(ctx, c, written, "two", "test")
	g.Expect(err).NotTo(HaveOccurred())
	_, outdated, err = configjournal.Write(ctx, c, written, "another", "test")
	g.Expect(err).To(HaveOccurred())
	g.Expect(outdated).To(BeTrue(), "it was written since it was read")

	last, err := configjournal.Read(ctx, c, "kube-system", "journal")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(configjournal.Text(last)).To(Equal("two"))
	g.Expect(c.Delete(ctx, last)).To(Succeed())
	_, outdated, err = configjournal.Write(ctx, c, last, "three", "test")
	g.Expect(err).To(HaveOccurred())
	g.Expect(outdated).To(BeTrue(), "it is gone since it was read")
}
