// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// frr starts zebra and bgpd with sockets of their own in a namespace; they write what they learn into the kernel.
func frr(t *testing.T, s *space, config string) *frrouting {
	t.Helper()
	// FRR's sockets have short paths.
	dir, err := os.MkdirTemp("", "frr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &frrouting{s, dir}
	r.own(dir)
	r.daemon("zebra", "")
	NewWithT(t).Eventually(filepath.Join(dir, "zserv.api")).WithTimeout(10 * time.Second).Should(BeAnExistingFile())
	r.daemon("bgpd", config)
	NewWithT(t).Eventually(filepath.Join(dir, "bgpd.vty")).WithTimeout(10 * time.Second).Should(BeAnExistingFile())
	return r
}

// frrouting is FRR in a namespace.
type frrouting struct {
	*space
	dir string
}

func (r *frrouting) daemon(name, config string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name+".conf")
	if err := os.WriteFile(file, []byte("log stdout notifications\n"+config), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.own(file)
	var cmd *exec.Cmd
	err := r.within(func() error {
		cmd = exec.Command("/usr/lib/frr/"+name, "-f", file, "-z", filepath.Join(r.dir, "zserv.api"), //nolint:gosec // the tests' own command
			"-i", filepath.Join(r.dir, name+".pid"), "--vty_socket", r.dir, "-P", "0")
		cmd.Stdout, cmd.Stderr = testWriter{r.t, r.name}, testWriter{r.t, r.name}
		return cmd.Start()
	})
	if err != nil {
		r.t.Fatalf("starting FRR's %s: %v; is it installed? hack/prerequisites.sh --install", name, err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// own gives a file to the user that FRR runs as: it drops root's rights.
func (r *frrouting) own(file string) {
	r.t.Helper()
	run(r.t, "chown", "frr:frr", file)
}

// ask FRR. That it does not know something is an answer, too.
func (r *frrouting) ask(command ...string) string {
	args := []string{"--vty_socket", r.dir}
	for _, c := range command {
		args = append(args, "-c", c)
	}
	out, err := exec.Command("vtysh", args...).CombinedOutput() //nolint:gosec // the tests' own command
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// newFRR is the lab with FRR as the router.
func newFRR(t *testing.T, neighbor string) (*frrouting, *space) {
	t.Helper()
	needsRoot(t)
	t.Parallel()
	node, torSpace := newSpace(t, "node"), newSpace(t, "tor")
	link(node, torSpace, []string{"2001:db8:1::2/64", "fe80::2/64"}, []string{"2001:db8:1::1/64", "fe80::1/64"})
	return frr(t, torSpace, fmt.Sprintf(`
router bgp 65000
 bgp router-id 192.0.2.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp graceful-restart
 timers bgp 3 9
 neighbor 2001:db8:1::2 remote-as 65001
 neighbor 2001:db8:1::2 timers connect 1
%s
 address-family ipv6 unicast
  neighbor 2001:db8:1::2 activate
 exit-address-family
`, neighbor)), node
}

func TestFRRLearnsAndForgets(t *testing.T) {
	r, node := newFRR(t, "")
	g := NewWithT(t)
	speaker := start(t, node, "first")
	d := desired(tor(), "2001:db8:2::/80", "2001:db8:3::/80")
	d.Advertisements[0].Communities = []bgp.Community{65000<<16 | 100}
	speaker.apply(d)
	g.Eventually(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(And(
		ContainSubstring("proto bgp"), ContainSubstring("dev eth0")))
	g.Expect(r.ask("show bgp ipv6 unicast 2001:db8:2::/80")).To(ContainSubstring("Community: 65000:100"))
	speaker.apply(desired(tor(), "2001:db8:3::/80"))
	g.Eventually(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(BeEmpty())
	g.Expect(r.routes("2001:db8:3::/80")).NotTo(BeEmpty())
}

func TestFRRPassword(t *testing.T) {
	_, node := newFRR(t, " neighbor 2001:db8:1::2 password secret")
	g := NewWithT(t)
	speaker := start(t, node, "first")
	peer := tor()
	peer.Password = "secret"
	speaker.apply(desired(peer))
	g.Eventually(func() bgp.SessionState { return speaker.status().Sessions[0].State }).WithTimeout(soon).Should(Equal(bgp.Established))
}

// FRR speaks RFC 8538 beside RFC 4724: of a killed speaker it keeps the routes, of one that withdraws it does not.
func TestFRRGracefulRestart(t *testing.T) {
	r, node := newFRR(t, "")
	g := NewWithT(t)
	speaker := start(t, node, "first")
	speaker.apply(restarting("2001:db8:2::/80"))
	g.Eventually(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(soon).ShouldNot(BeEmpty())
	monitor := follow(t, r.space)

	speaker.kill()
	g.Eventually(func() string { return r.ask("show bgp summary established json") }).WithTimeout(soon).ShouldNot(ContainSubstring("2001:db8:1::2"))
	g.Expect(r.routes("2001:db8:2::/80")).NotTo(BeEmpty())
	speaker = start(t, node, "restarting")
	speaker.apply(restarting("2001:db8:2::/80"))
	g.Eventually(func() bgp.SessionState { return speaker.status().Sessions[0].State }).WithTimeout(soon).Should(Equal(bgp.Established))
	g.Expect(speaker.status().Sessions[0].Advertised).To(BeEquivalentTo(1))
	g.Consistently(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(time.Second).ShouldNot(BeEmpty())
	g.Expect(monitor()).NotTo(ContainSubstring("Deleted 2001:db8:2::/80"), "what happened in the router's kernel")

	_, err := speaker.order(order{Withdraw: true})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(2 * time.Second).Should(BeEmpty())
}

// A peer of the link by its address. FRR listens on no range of such addresses.
func TestFRRLinkLocalPeer(t *testing.T) {
	needsRoot(t)
	t.Parallel()
	node, torSpace := newSpace(t, "node"), newSpace(t, "tor")
	for _, s := range []*space{node, torSpace} {
		s.run("sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
	}
	link(node, torSpace, []string{"fe80::2/64"}, []string{"fe80::1/64"})
	r := frr(t, torSpace, `
router bgp 65000
 bgp router-id 192.0.2.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor fe80::2 remote-as 65001
 neighbor fe80::2 interface eth0
 address-family ipv6 unicast
  neighbor fe80::2 activate
 exit-address-family
`)
	g := NewWithT(t)
	speaker := start(t, node, "first")
	peer := tor()
	peer.Address = netip.MustParseAddr("fe80::1%eth0")
	speaker.apply(desired(peer, "2001:db8:2::/80"))
	g.Eventually(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(ContainSubstring("via fe80::2 dev eth0"))
}

// FRR's unnumbered peer waits for router advertisements of the node. The agent sends none; where something else does, the session comes up.
func TestFRRUnnumberedPeer(t *testing.T) {
	needsRoot(t)
	t.Parallel()
	node, torSpace := newSpace(t, "node"), newSpace(t, "tor")
	for _, s := range []*space{node, torSpace} {
		s.run("sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
	}
	link(node, torSpace, []string{"fe80::2/64"}, []string{"fe80::1/64"})
	r := frr(t, torSpace, `
router bgp 65000
 bgp router-id 192.0.2.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor eth0 interface remote-as external
 neighbor eth0 timers connect 1
 address-family ipv6 unicast
  neighbor eth0 activate
 exit-address-family
`)
	advertise(t, node)
	g := NewWithT(t)
	speaker := start(t, node, "first")
	peer := tor()
	peer.Address = netip.MustParseAddr("fe80::1%eth0")
	speaker.apply(desired(peer, "2001:db8:2::/80"))
	g.Eventually(func() string { return r.routes("2001:db8:2::/80") }).WithTimeout(soon).Should(ContainSubstring("via fe80::2 dev eth0"))
}

// advertise a router that is nobody's default.
func advertise(t *testing.T, s *space) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "radvd.conf")
	text := "interface eth0 { AdvSendAdvert on; AdvDefaultLifetime 0; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; };"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	err := s.within(func() error {
		cmd = exec.Command("radvd", "-n", "-m", "stderr", "-C", config, "-p", filepath.Join(dir, "pid")) //nolint:gosec // the tests' own command
		cmd.Stdout, cmd.Stderr = testWriter{t, s.name}, testWriter{t, s.name}
		return cmd.Start()
	})
	if err != nil {
		t.Fatalf("starting radvd: %v; is it installed? hack/prerequisites.sh --install", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
