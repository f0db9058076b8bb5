// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

func TestInstall(t *testing.T) {
	g := NewWithT(t)
	from, to := t.TempDir(), t.TempDir()
	g.Expect(install(from, to)).To(MatchError(And(ContainSubstring("ipv6-cni"), ContainSubstring("portmap"), ContainSubstring("loopback"))), "all that is missing")
	for _, name := range agentconfig.Plugins() {
		g.Expect(os.WriteFile(filepath.Join(from, name), []byte("new "+name), 0o600)).To(Succeed())
	}
	g.Expect(os.WriteFile(filepath.Join(to, "portmap"), []byte("old"), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(to, "bridge"), []byte("other"), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(to, "portmap.tmp"), []byte("of an agent that was killed"), 0o400)).To(Succeed())
	g.Expect(install(from, to)).To(Succeed())
	entries, err := os.ReadDir(to)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(entries).To(HaveLen(4), "nothing is left beside")
	before := map[string]os.FileInfo{}
	for _, name := range agentconfig.Plugins() {
		g.Expect(os.ReadFile(filepath.Join(to, name))).To(BeEquivalentTo("new " + name))
		info, err := os.Stat(filepath.Join(to, name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o755)))
		before[name] = info
	}
	g.Expect(install(from, to)).To(Succeed())
	for name, info := range before {
		now, err := os.Stat(filepath.Join(to, name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.SameFile(info, now)).To(BeTrue(), "what is right already stays: %s", name)
	}
}

func TestForeignNetwork(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	is := func(want string) {
		got, err := foreignNetwork(dir)
		g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
		g.ExpectWithOffset(1, got).To(Equal(want))
	}
	put := func(name string) {
		g.ExpectWithOffset(1, os.WriteFile(filepath.Join(dir, name), nil, 0o600)).To(Succeed())
	}
	is("")
	put("10-ipv6.conflist")
	put("99-loopback.conf")
	put("05-readme.txt")
	is("")
	put("10-calico.conflist")
	is("10-calico.conflist")
	put("00-first.conf")
	is("00-first.conf")
}

func TestTheListIsWrittenOnce(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(writeConflist(dir, "/run/cni.sock")).To(BeTrue())
	g.Expect(writeConflist(dir, "/run/cni.sock")).To(BeFalse())
	g.Expect(os.WriteFile(filepath.Join(dir, agentconfig.ConflistName), []byte("{}"), 0o600)).To(Succeed())
	g.Expect(writeConflist(dir, "/run/cni.sock")).To(BeTrue(), "put right")
}
