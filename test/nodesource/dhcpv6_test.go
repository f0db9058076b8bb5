// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/dhcpv6"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/sourcetest"
)

// kea is ISC's DHCPv6 server, and what it remembers when it is started again.
type kea struct {
	*space
	dir string
	*daemon
}

// pool that Kea delegates from, and for how long, in seconds.
type pool struct {
	prefix    string
	length    int
	delegated int
	// renew (T1), rebind (T2), preferred and valid.
	renew, rebind, preferred, valid int
}

// lasting is a pool whose leases outlive every test.
func lasting(prefix string) pool {
	return pool{prefix: prefix, length: 56, delegated: 64, renew: 1000, rebind: 2000, preferred: 3000, valid: 4000}
}

// brief is a pool whose leases are renewed every second.
func brief(prefix string) pool {
	return pool{prefix: prefix, length: 56, delegated: 64, renew: 1, rebind: 3, preferred: 5, valid: 7}
}

func newKea(s *space) *kea {
	s.run("ip", "address", "add", "2001:db8:ffff::1/64", "dev", "eth0")
	return &kea{space: s, dir: s.t.TempDir()}
}

// start the server with that pool, or none.
func (k *kea) start(pools ...pool) {
	k.space.t.Helper()
	subnet := map[string]any{"subnet": "2001:db8:ffff::/64", "interface": "eth0"}
	settings := map[string]any{
		"interfaces-config": map[string]any{"interfaces": []string{"eth0"}},
		"lease-database":    map[string]any{"type": "memfile", "persist": true, "name": filepath.Join(k.dir, "leases.csv"), "lfc-interval": 0},
		"server-id":         map[string]any{"type": "EN", "enterprise-id": 32473, "identifier": "C0FFEE", "persist": false},
		"subnet6":           []any{subnet},
		"loggers": []any{map[string]any{
			"name": "kea-dhcp6", "severity": "INFO", "output_options": []any{map[string]any{"output": "stdout"}},
		}},
	}
	for _, p := range pools {
		subnet["pd-pools"] = []any{map[string]any{"prefix": p.prefix, "prefix-len": p.length, "delegated-len": p.delegated}}
		settings["renew-timer"], settings["rebind-timer"] = p.renew, p.rebind
		settings["preferred-lifetime"], settings["valid-lifetime"] = p.preferred, p.valid
	}
	text, err := json.Marshal(map[string]any{"Dhcp6": settings})
	if err != nil {
		k.space.t.Fatal(err)
	}
	config := filepath.Join(k.dir, "kea.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		k.space.t.Fatal(err)
	}
	env := []string{"KEA_PIDFILE_DIR=" + k.dir, "KEA_LOCKFILE_DIR=" + k.dir}
	k.daemon = launch(k.space, env, "DHCP6_STARTED", "kea-dhcp6", "-c", config)
}

// forget every lease, as a server that lost its disk.
func (k *kea) forget() {
	for _, name := range []string{"leases.csv", "leases.csv.completed", "leases.csv.1", "leases.csv.2"} {
		if err := os.Remove(filepath.Join(k.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			k.space.t.Fatal(err)
		}
	}
}

// client of the tests: it sends again soon.
func client(t *testing.T) setup {
	return setup{DHCPv6: &dhcpv6.Options{
		Interface: "eth0", Bits: 64, File: filepath.Join(t.TempDir(), "lease.json"), Retransmit: 500 * time.Millisecond,
	}}
}

const inPool = "^2001:db8:8000:[0-9a-f:]*/64$"

func TestDHCPv6Conformance(t *testing.T) {
	node, server := newLink(t)
	k := newKea(server)
	k.start(brief("2001:db8:8000::"))
	sourcetest.Run(t, start(t, node, client(t)), func() {
		k.stop()
		k.forget()
		k.start(brief("2001:db8:9000::"))
	})
}

func TestDHCPv6ObtainsAndRenews(t *testing.T) {
	node, server := newLink(t)
	newKea(server).start(brief("2001:db8:8000::"))
	asks := capture(server)
	source := start(t, node, client(t))
	source.gives(MatchRegexp(inPool))

	g := NewWithT(t)
	first, err := source.Prefixes(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(first[0].Origin).To(Equal("DHCPv6 on eth0"))
	g.Expect(first[0].ValidUntil).To(BeTemporally("~", time.Now(), 8*time.Second))
	g.Eventually(func() time.Time {
		ps, err := source.Prefixes(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		g.Expect(ps[0].Prefix).To(Equal(first[0].Prefix))
		return ps[0].ValidUntil
	}).WithTimeout(soon).Should(BeTemporally(">", first[0].ValidUntil.Add(time.Second)), "twice renewed")
	asks.sees("dhcp6 renew")
	g.Expect(asks.said()).NotTo(ContainSubstring("dhcp6 rebind"), "its own server is asked first")
}

// The length that is asked for is a hint to the server.
func TestDHCPv6Length(t *testing.T) {
	node, server := newLink(t)
	p := lasting("2001:db8:8000::")
	p.delegated = 60
	newKea(server).start(p)
	asks := capture(server)
	set := client(t)
	set.DHCPv6.Bits = 60
	start(t, node, set).gives(MatchRegexp("^2001:db8:8000:[0-9a-f:]*/60$"))
	asks.sees("IA_PD-prefix ::/60 ")
}

// The server is away when the lease is to be renewed, and back before it ends.
func TestDHCPv6Rebinds(t *testing.T) {
	node, server := newLink(t)
	k, slow := newKea(server), brief("2001:db8:8000::")
	slow.preferred, slow.valid = 15, 20 // time enough to come back
	k.start(slow)
	source := start(t, node, client(t))
	source.gives(MatchRegexp(inPool))
	before := source.now()
	k.stop()
	asks := capture(server)
	asks.sees("dhcp6 rebind") // that is after T2
	g := NewWithT(t)
	g.Expect(source.now()).To(Equal(before), "the lease holds for as long as it was given")
	ps, err := source.Prefixes(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	k.start(slow)
	g.Eventually(func() time.Time {
		now, err := source.Prefixes(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		g.Expect(now[0].Prefix).To(Equal(ps[0].Prefix))
		return now[0].ValidUntil
	}).WithTimeout(soon).Should(BeTemporally(">", ps[0].ValidUntil))
}

// No server renews the lease: it is lost, since the time that it ended, and got again when the server is back.
func TestDHCPv6Loses(t *testing.T) {
	node, server := newLink(t)
	k := newKea(server)
	k.start(brief("2001:db8:8000::"))
	source := start(t, node, client(t))
	source.gives(MatchRegexp(inPool))
	g := NewWithT(t)
	k.stop()
	had, err := source.Prefixes(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	source.gives(ContainSubstring("is lost since"))
	_, err = source.Prefixes(context.Background())
	var lost *nodesource.LostError
	g.Expect(errors.As(err, &lost)).To(BeTrue())
	g.Expect(lost.Prefix).To(Equal(had[0].Prefix))
	g.Expect(lost.Since).To(BeTemporally("==", had[0].ValidUntil))
	g.Expect(lost.Reason).To(Equal("no server renewed it in time"))
	g.Eventually(source.Changed()).WithTimeout(soon).Should(Receive())

	k.start(brief("2001:db8:8000::"))
	source.gives(had[0].Prefix.String())
}

// The agent's process is killed and starts again: the prefix is there at once, with no server, and confirmed when there is one.
func TestDHCPv6SurvivesRestart(t *testing.T) {
	node, server := newLink(t)
	k := newKea(server)
	k.start(lasting("2001:db8:8000::"))
	set := client(t)
	source := start(t, node, set)
	source.gives(MatchRegexp(inPool))
	before := source.now()
	source.kill()
	k.stop()

	source = start(t, node, set)
	NewWithT(t).Expect(source.now()).To(Equal(before), "from the file")
	source.kill()

	k.start(lasting("2001:db8:8000::"))
	asks := capture(server)
	source = start(t, node, set)
	asks.sees("dhcp6 rebind")
	asks.sees("dhcp6 reply")
	NewWithT(t).Expect(source.now()).To(Equal(before))
}

// While the agent was away its server has forgotten it and delegates from elsewhere now: confirming tells.
func TestDHCPv6RestartFindsAnotherPrefix(t *testing.T) {
	node, server := newLink(t)
	k := newKea(server)
	k.start(lasting("2001:db8:8000::"))
	set := client(t)
	source := start(t, node, set)
	source.gives(MatchRegexp(inPool))
	source.kill()
	k.stop()
	k.forget()
	k.start(lasting("2001:db8:9000::"))
	start(t, node, set).gives(MatchRegexp("^2001:db8:9000:[0-9a-f:]*/64$"))
}

// The operator takes the pool away: the next renewal tells, and the error says so.
func TestDHCPv6ServerTakesAway(t *testing.T) {
	node, server := newLink(t)
	k := newKea(server)
	k.start(brief("2001:db8:8000::"))
	source := start(t, node, client(t))
	source.gives(MatchRegexp(inPool))
	k.stop()
	k.forget()
	k.start()
	source.gives(ContainSubstring("is lost since"))
	_, err := source.Prefixes(context.Background())
	var lost *nodesource.LostError
	NewWithT(t).Expect(errors.As(err, &lost)).To(BeTrue())
	NewWithT(t).Expect(netip.MustParsePrefix("2001:db8:8000::/56").Overlaps(lost.Prefix)).To(BeTrue())
}

// A server without a pool for this client says so, and so does the source.
func TestDHCPv6NothingToGive(t *testing.T) {
	node, server := newLink(t)
	newKea(server).start()
	source := start(t, node, client(t))
	source.gives(And(ContainSubstring("the node has no prefix there"), ContainSubstring("NoPrefixAvail")))
}

// With Release the prefix is given back, and the server can give it to the next; without, it is kept.
func TestDHCPv6Releases(t *testing.T) {
	node, server := newLink(t)
	k := newKea(server)
	k.start(lasting("2001:db8:8000::"))
	set := client(t)
	set.DHCPv6.Release = true
	source := start(t, node, set)
	source.gives(MatchRegexp(inPool))
	asks := capture(server)
	g := NewWithT(t)
	g.Expect(source.Close(context.Background())).To(Succeed())
	asks.sees("dhcp6 release")
	text, err := os.ReadFile(set.DHCPv6.File)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).NotTo(ContainSubstring("2001:db8:8000"), "what was given back is not kept")
	g.Eventually(func() string {
		leases, _ := os.ReadFile(filepath.Join(k.dir, "leases.csv"))
		lines := strings.Split(strings.TrimSpace(string(leases)), "\n")
		return strings.Split(lines[len(lines)-1]+",,,", ",")[2]
	}).WithTimeout(soon).Should(Equal("0"), "Kea writes a lease that has been released with a lifetime of 0")
}

// Another DHCPv6 client holds the port: the error says so.
func TestDHCPv6PortTaken(t *testing.T) {
	node, server := newLink(t)
	newKea(server).start(lasting("2001:db8:8000::"))
	var other net.PacketConn
	NewWithT(t).Expect(node.within(func() (err error) {
		other, err = net.ListenPacket("udp6", "[::]:546")
		return err
	})).To(Succeed())
	source := start(t, node, client(t))
	source.gives(ContainSubstring("port 546 of eth0 is taken"))
	NewWithT(t).Expect(other.Close()).To(Succeed())
	source.gives(MatchRegexp(inPool))
}

// A file that cannot be read is no reason to ask for another prefix.
func TestDHCPv6BadFile(t *testing.T) {
	node, _ := newLink(t)
	for text, want := range map[string]string{
		"{":             "cannot be read: unexpected end of JSON input: delete it to begin anew",
		`{"version":9}`: "has version 9: want 1",
		`{"version":1}`: "is incomplete",
	} {
		set := client(t)
		if err := os.WriteFile(set.DHCPv6.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		NewWithT(t).Expect(node.within(func() error {
			_, err := dhcpv6.New(*set.DHCPv6)
			return err
		})).To(MatchError(ContainSubstring(want)))
	}
}
