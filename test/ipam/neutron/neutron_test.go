// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package neutron_test

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/subnetpools"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/neutron"
)

// Both services start, serve a mere member of a project, and leave neither a process nor a mount nor a file behind.
func TestStart(t *testing.T) {
	if why := neutron.Missing(); why != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip("LEFT OUT:", why)
	}
	g := NewWithT(t)
	t.Setenv("TMPDIR", t.TempDir())
	cloud, err := neutron.Start(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	tenant := cloud.NewTenant(t)
	id := tenant.NewPool(t, netip.MustParsePrefix("2001:db8::/48"), neutron.PoolOptions{MinBits: 56, MaxBits: 64})
	pool, err := subnetpools.Get(t.Context(), tenant.Network, id).Extract()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]any{pool.Prefixes, pool.MinPrefixLen, pool.MaxPrefixLen}).To(Equal([]any{[]string{"2001:db8::/48"}, 56, 64}))
	g.Expect(inside(t)).To(HaveLen(2), "the two services")

	g.Expect(cloud.Stop()).To(Succeed())
	g.Expect(inside(t)).To(BeEmpty())
	mounts, err := os.ReadFile("/proc/self/mounts")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(mounts)).NotTo(ContainSubstring("gardener-extension-networking-ipv6/neutron"))
	g.Expect(os.ReadDir(os.TempDir())).To(BeEmpty())
	for _, service := range []string{cloud.AuthURL, cloud.NetworkURL} {
		u, err := url.Parse(service)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = net.Dial("tcp", u.Host) //nolint:noctx // refused at once
		g.Expect(err).To(HaveOccurred())
	}
}

// inside are the processes whose root is a private one and whose temporary files are this test's.
func inside(t *testing.T) []string {
	t.Helper()
	var found []string
	roots, err := filepath.Glob("/proc/[0-9]*/root")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, root := range roots {
		at, err := os.Readlink(root)
		if err != nil || !strings.Contains(at, "gardener-extension-networking-ipv6/neutron") {
			continue // it has ended, or is no business of ours
		}
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(root), "status"))
		if err == nil && descends(string(parent)) {
			found = append(found, filepath.Dir(root))
		}
	}
	return found
}

// descends tells whether a process descends from this one, by its status file.
func descends(status string) bool {
	for {
		_, rest, found := strings.Cut(status, "PPid:\t")
		parent, _, _ := strings.Cut(rest, "\n")
		if !found || parent == "0" || parent == "1" {
			return false
		}
		if parent == pid() {
			return true
		}
		next, err := os.ReadFile("/proc/" + parent + "/status")
		if err != nil {
			return false
		}
		status = string(next)
	}
}

func pid() string {
	self, _ := os.Readlink("/proc/self")
	return self
}
