// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/podiptest"
)

func TestConformance(t *testing.T) {
	podiptest.Run(t, func(t *testing.T) func() podip.Store {
		dir := t.TempDir()
		var s *Store
		return func() podip.Store {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			s = mustNew(t, dir)
			return s
		}
	})
}

func mustNew(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheFile(t *testing.T) {
	g := NewWithT(t)
	s := mustNew(t, t.TempDir())
	g.Expect(s.Put(t.Context(), podiptest.Record("a"))).To(Succeed())
	g.Expect(s.Dump()).To(Equal([]string{"a:eth0.json"}))
	g.Expect(os.ReadFile(filepath.Join(s.dir, "a:eth0.json"))).To(BeEquivalentTo(
		`{"version":1,"containerID":"a","interface":"eth0","network":"ipv6","pod":"default/web","mtu":1500,"addresses":["2001:db8::1","10.0.0.1"],"sequence":7}` + "\n"))
}

func TestTheDirectoryHasOneUser(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	s := mustNew(t, dir)
	_, err := New(dir)
	g.Expect(err).To(MatchError(ContainSubstring("another process uses " + dir)))
	g.Expect(s.Close()).To(Succeed())
	mustNew(t, dir)
}

func TestDamagedRecordsArePutAside(t *testing.T) {
	for name, content := range map[string]string{
		"empty":       "",
		"cut off":     `{"version":1,"containerID":"b"`,
		"zeros":       "\x00\x00\x00\x00",
		"of another":  `{"version":1,"containerID":"c","interface":"eth0","addresses":["2001:db8::1"],"sequence":1}`,
		"newer":       `{"version":2,"containerID":"b","interface":"eth0","addresses":["2001:db8::1"],"sequence":1}`,
		"no address":  `{"version":1,"containerID":"b","interface":"eth0","addresses":[],"sequence":1}`,
		"bad address": `{"version":1,"containerID":"b","interface":"eth0","addresses":["2001:db8::x"],"sequence":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := mustNew(t, t.TempDir())
			g.Expect(s.Put(t.Context(), podiptest.Record("a"))).To(Succeed())
			g.Expect(os.WriteFile(filepath.Join(s.dir, "b:eth0.json"), []byte(content), 0o600)).To(Succeed())
			records, err := s.Load(t.Context())
			g.Expect(records).To(Equal([]podip.Record{podiptest.Record("a")}), "the others are loaded")
			var damaged *podip.DamagedError
			g.Expect(errors.As(err, &damaged)).To(BeTrue(), "%v", err)
			g.Expect(err).To(MatchError(ContainSubstring("b:eth0.json")))
			g.Expect(s.Dump()).To(Equal([]string{"a:eth0.json", "b:eth0.json.damaged"}))
			_, err = s.Load(t.Context())
			g.Expect(err).NotTo(HaveOccurred(), "it is said once")
		})
	}
}
