//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// TestConformance runs upstream's conformance tests of the network, of the Kubernetes version that the Shoot has, from the host
// outside. There are 47 of them in Kubernetes 1.36.3; fewer would mean that the focus no longer fits.
func TestConformance(t *testing.T) {
	g := NewWithT(t)
	s := demo(t)
	begin := time.Now()

	kubeconfig, err := s.AdminKubeconfig(t.Context())
	g.Expect(err).NotTo(HaveOccurred())

	path := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(os.WriteFile(path, kubeconfig, 0o600)).To(Succeed())

	result, err := machine.E2E{
		Host:       world.machine.Host(driver.OutsideName),
		Kubeconfig: path,
		Focus:      `\[sig-network\].*\[Conformance\]`,
		Nodes:      shootNodes,
		Dir:        filepath.Join(world.machine.Dir, "conformance"),
		Limit:      20 * time.Minute,
	}.Run(t.Context())

	t.Logf("[sig-network] Conformance: %d of %d passed in %s", result.Passed, result.Ran, time.Since(begin).Round(time.Second))
	g.Expect(err).NotTo(HaveOccurred(), "failed:\n%s\nlog: %s", strings.Join(result.Failed, "\n"), result.Log)
	g.Expect(result.Ran).To(Equal(47), "tests in focus")
	g.Expect(result.Passed).To(Equal(47), "tests that passed")
}
