// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/fastpath"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/netlink"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/nft"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/disk"
)

// agentEnv makes this test binary an agent: it holds the path of an agentFile.
const agentEnv = "IPV6_NODE_TEST_AGENT"

// agentFile is what the agent process of a test is told. It stands in for the API server: a SIGHUP says that View changed.
type agentFile struct {
	Dir    string
	Config agentconfig.Config
	View   agent.View
	// Resync is a second unless a test is about what happens without it.
	Resync time.Duration
}

func (f agentFile) path(name string) string { return filepath.Join(f.Dir, name) }

// runAgent is the agent's process.
func runAgent(path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nodes, err := newFileNodes(path)
	if err != nil {
		return err
	}
	f := nodes.file
	store, err := disk.New(f.path("addresses"))
	if err != nil {
		return err
	}
	kernel := netlink.New()
	o := agent.Options{
		Config: f.Config, Nodes: nodes, Recorder: stderr{}, Wirer: kernel, Host: kernel, Masquerader: nft.New(), Guard: nft.NewGuard(), Store: store,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Socket: f.path("cni.sock"), CNIBinDir: f.path("bin"), CNIConfDir: f.path("net.d"),
		PluginDir: f.path("plugins"), HTTPAddress: "[::1]:10301", Resync: f.Resync,
	}
	if f.Config.FastPath {
		if o.FastPath, err = fastpath.New(); err != nil {
			return err
		}
	}
	a, err := agent.New(ctx, o)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

type stderr struct{}

func (stderr) Warn(reason, message string) { fmt.Fprintf(os.Stderr, "EVENT %s: %s\n", reason, message) }

type fileNodes struct {
	path    string
	mu      sync.Mutex
	file    agentFile
	changed chan struct{}
}

func newFileNodes(path string) (*fileNodes, error) {
	n := &fileNodes{path: path, changed: make(chan struct{}, 1)}
	if err := n.read(); err != nil {
		return nil, err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for range hup {
			if err := n.read(); err != nil {
				panic(err)
			}
			n.changed <- struct{}{}
		}
	}()
	return n, nil
}

func (n *fileNodes) read() error {
	data, err := os.ReadFile(n.path)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return json.Unmarshal(data, &n.file)
}

// View implements agent.Nodes.
func (n *fileNodes) View() agent.View {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.file.View
}

// Changed implements agent.Nodes.
func (n *fileNodes) Changed() <-chan struct{} { return n.changed }

// node is a namespace with an agent.
type node struct {
	*space
	file agentFile
	t    testing.TB
	cmd  *exec.Cmd
	log  *os.File
	// done receives the agent's end.
	done chan error
}

// newNode makes a node without links, and its agent's directories. The agent is not started.
func newNode(t testing.TB, name string, cfg agentconfig.Config) *node {
	t.Helper()
	n := &node{space: newSpace(t, name), t: t}
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	n.log = log
	n.file = agentFile{Dir: dir, Config: cfg, Resync: time.Second, View: agent.View{Own: &agent.Node{Name: name}}}
	for _, d := range []string{"bin", "net.d", "plugins"} {
		if err := os.Mkdir(n.file.path(d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range agentconfig.Plugins() {
		if err := os.Symlink(filepath.Join(plugins, p), filepath.Join(n.file.path("plugins"), p)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_ = n.signal(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, n.logged())
		}
		_ = log.Close()
	})
	return n
}

func (n *node) logged() string {
	out, err := os.ReadFile(n.file.path("log"))
	if err != nil {
		n.t.Fatal(err)
	}
	return string(out)
}

// tell writes what the API server would say, and lets a running agent know.
func (n *node) tell(v agent.View) {
	n.t.Helper()
	n.file.View = v
	data, err := json.Marshal(n.file)
	if err == nil {
		err = os.WriteFile(n.file.path("agent.json.new"), data, 0o600)
	}
	if err == nil {
		err = os.Rename(n.file.path("agent.json.new"), n.file.path("agent.json"))
	}
	if err != nil {
		n.t.Fatal(err)
	}
	if n.cmd != nil {
		if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			n.t.Fatal(err)
		}
	}
}

// start starts the agent in the node's namespace.
func (n *node) start() {
	n.t.Helper()
	n.tell(n.file.View)
	exe, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	n.cmd = exec.Command(exe) //nolint:gosec // this binary
	n.cmd.Env = append(os.Environ(), agentEnv+"="+n.file.path("agent.json"))
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.within(n.cmd.Start); err != nil {
		n.t.Fatal(err)
	}
	n.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(n.cmd, n.done)
}

// signal ends the agent and waits for its end.
func (n *node) signal(s os.Signal) error {
	if n.cmd == nil {
		return nil
	}
	_ = n.cmd.Process.Signal(s) // it may have ended by itself
	n.cmd = nil
	return <-n.done
}

// get asks the agent's HTTP server.
func (n *node) get(path string) (status int, body string, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
			err = n.within(func() error {
				c, err = (&net.Dialer{}).DialContext(ctx, network, address)
				return err
			})
			return c, err
		},
	}}
	resp, err := client.Get("http://[::1]:10301" + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	b := make([]byte, 1<<20)
	var out strings.Builder
	for {
		k, err := resp.Body.Read(b)
		out.Write(b[:k])
		if err != nil {
			return resp.StatusCode, out.String(), nil
		}
	}
}

// ready waits for the agent to be ready for pods.
func (n *node) ready() {
	n.t.Helper()
	NewWithT(n.t).Eventually(func() (string, error) {
		_, body, err := n.get("/readyz")
		return body, err
	}, "20s", "20ms").Should(Equal("ok\n"), "agent of %s", n.name)
}

// link is a switch with a router on it, and the nodes that are plugged in.
type link struct {
	*space
	t     testing.TB
	ports int
}

// newLink has fd00:cafe::1/64 and 10.60.0.1/24 on br0.
func newLink(t testing.TB) *link {
	l := &link{space: newSpace(t, "link"), t: t}
	l.ip(t, "link", "add", "br0", "type", "bridge")
	l.ip(t, "link", "set", "br0", "up")
	l.ip(t, "addr", "add", "fd00:cafe::1/64", "dev", "br0", "nodad")
	l.ip(t, "addr", "add", "10.60.0.1/24", "dev", "br0")
	return l
}

// plug gives a namespace an eth0 with addresses, and default routes by way of the router.
func (l *link) plug(s *space, addrs ...string) {
	l.t.Helper()
	l.ports++
	port := fmt.Sprintf("port%d", l.ports)
	l.ip(l.t, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", s.name)
	l.ip(l.t, "link", "set", port, "master", "br0", "up")
	// A router whose link-local address is still being checked for duplicates cannot solicit its neighbours.
	s.sysctl(l.t, "net/ipv6/conf/eth0/accept_dad", "0")
	s.ip(l.t, "link", "set", "eth0", "up")
	for _, a := range addrs {
		p := netip.MustParsePrefix(a)
		if p.Addr().Is4() {
			s.ip(l.t, "addr", "add", a, "dev", "eth0")
			s.ip(l.t, "route", "add", "default", "via", "10.60.0.1")
			continue
		}
		s.ip(l.t, "addr", "add", a, "dev", "eth0", "nodad")
		s.ip(l.t, "route", "add", "default", "via", "fd00:cafe::1")
	}
}

// cluster plugs nodes into one link and makes them know each other. Each line of spec is a node: name, its addresses, its pod ranges.
func cluster(t testing.TB, cfg agentconfig.Config, spec ...nodeSpec) (*link, []*node) {
	t.Helper()
	l := newLink(t)
	var nodes []*node
	var known []agent.Node
	for _, s := range spec {
		n := newNode(t, s.name, cfg)
		l.plug(n.space, s.addrs...)
		k := agent.Node{Name: s.name}
		for _, a := range s.addrs {
			k.Addrs = append(k.Addrs, netip.MustParsePrefix(a).Addr())
		}
		for _, r := range s.ranges {
			k.PodCIDRs = append(k.PodCIDRs, netip.MustParsePrefix(r))
		}
		nodes, known = append(nodes, n), append(known, k)
	}
	for i, n := range nodes {
		own := known[i]
		n.file.View = agent.View{Own: &own, Peers: slices.Delete(slices.Clone(known), i, i+1)}
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	return l, nodes
}

func viewOf(own agent.Node, peers ...agent.Node) agent.View {
	return agent.View{Own: &own, Peers: peers}
}

type nodeSpec struct {
	name          string
	addrs, ranges []string
}

// v6 is the configuration of most tests.
func v6() agentconfig.Config {
	return agentconfig.Config{RoutingMode: agentconfig.Direct, IPFamilies: []string{"IPv6"}, NodePrefixLengthIPv6: 96}
}

func n1() nodeSpec {
	return nodeSpec{"n1", []string{"fd00:cafe::11/64"}, []string{"fd00:10:0:0:0:1:d000:0/100"}}
}

func n2() nodeSpec {
	return nodeSpec{"n2", []string{"fd00:cafe::12/64"}, []string{"fd00:10:0:0:0:2:d000:0/100"}}
}
