// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	nl "github.com/vishvananda/netlink"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
	speaker "github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/fake"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/netlink"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/disk"
)

// agentEnv holds the settings of an agent's process, as JSON.
const agentEnv = "CHURN_AGENT"

// agentSettings of one agent.
type agentSettings struct {
	// Dir to work in, with a kubeconfig and the socket "api" through which the API server is reached from any namespace.
	Dir  string
	Mode agentconfig.RoutingMode
	// Kernel is true if the agent has a network namespace of its own, and its kernel is the real one.
	Kernel bool
}

// runAgent is the agent's process: all of it but containers' wires and, with BGP, GoBGP. It writes what it does to standard output.
func runAgent(text string) error {
	var set agentSettings
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, err := connect(set.Dir)
	if err != nil {
		return err
	}
	w := &witness{known: map[string]bool{}, out: bufio.NewWriter(os.Stdout)}
	host, err := w.host(set.Kernel)
	if err != nil {
		return err
	}
	cfg := configOf(set.Mode)
	store, err := disk.New(filepath.Join(set.Dir, "addresses"))
	if err != nil {
		return err
	}
	nodes, err := agent.WatchNodes(ctx, client, own, true)
	if err != nil {
		return err
	}
	o := agent.Options{
		Config: cfg, Nodes: nodes, Recorder: silent{}, Wirer: fake.New(), Host: host, Store: store, Log: slog.New(slog.DiscardHandler),
		Socket: filepath.Join(set.Dir, "cni.sock"), CNIBinDir: set.Dir, CNIConfDir: filepath.Join(set.Dir, "net.d"), PluginDir: filepath.Join(set.Dir, "bin"),
	}
	if set.Mode == agentconfig.BGP {
		services, err := agent.WatchServices(ctx, client, own, cfg)
		if err != nil {
			return err
		}
		o.BGP = &agent.BGP{Services: services, Speaker: func(bool) bgp.Speaker { return &told{Speaker: speaker.New(), witness: w} }}
	}
	nodes.Wait(ctx)
	a, err := agent.New(ctx, o)
	if err != nil {
		return err
	}
	go w.answer()
	return a.Run(ctx)
}

// connect through the socket: another network namespace has other loopback addresses.
func connect(dir string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig"))
	if err != nil {
		return nil, err
	}
	// As the agent's own main does it.
	config.ContentType, config.AcceptContentTypes = kruntime.ContentTypeProtobuf, kruntime.ContentTypeProtobuf+","+kruntime.ContentTypeJSON
	config.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "api"))
	}
	return kubernetes.NewForConfig(config)
}

func configOf(mode agentconfig.RoutingMode) agentconfig.Config {
	cfg := agentconfig.Config{
		APIVersion: agentconfig.APIVersion, Kind: agentconfig.Kind, RoutingMode: mode, IPFamilies: []string{agentconfig.IPv6}, NodePrefixLengthIPv6: 96,
		ServiceCIDRs: []string{"fd00:10::/108"},
	}
	if mode == agentconfig.BGP {
		cfg.LoadBalancerCIDRs = []string{"2001:db8:5::/112"}
		cfg.BGP = &agentconfig.BGPConfig{
			ASN: 64512, NodeMesh: true, GracefulRestartSeconds: 120,
			Peers:     []agentconfig.BGPPeer{{Address: link + "fffe", ASN: 65000}},
			Advertise: agentconfig.Advertise{NodePrefixes: true, ClusterIPs: true, LoadBalancerIPs: true},
		}
	}
	return cfg
}

type silent struct{}

// Warn implements agent.Recorder.
func (silent) Warn(string, string) {}

// witness counts what the agent asks of the kernel, and writes down when it first has something of a node.
type witness struct {
	dataplane.Host
	mu    sync.Mutex
	known map[string]bool
	out   *bufio.Writer
	asked asked
}

// asked of the kernel so far, and what it cost.
type asked struct {
	Neighbours, Applies int
	Processor           time.Duration
	// ResidentMiB of the process, and HeapMiB of it that is in use.
	ResidentMiB, HeapMiB float64
}

// host is the kernel that the agent gets: the real one, with a link that all nodes share, or one in memory.
func (w *witness) host(kernel bool) (dataplane.Host, error) {
	self := netip.MustParseAddr(link + "1")
	if !kernel {
		k := fake.New()
		k.UplinkIs = dataplane.Uplink{Name: "up0", MTU: 1500}
		k.AddrsAre = []netip.Addr{self}
		w.Host = onLink{k}
		return w, nil
	}
	w.Host = netlink.New()
	pair := &nl.Veth{LinkAttrs: nl.LinkAttrs{Name: "up0"}, PeerName: "up1"}
	err := nl.LinkAdd(pair)
	for _, name := range []string{"lo", "up1", "up0"} {
		if l, found := nl.LinkByName(name); found == nil {
			err = errors.Join(err, nl.LinkSetUp(l))
		}
	}
	a, _ := nl.ParseAddr(self.String() + "/64") // a constant
	a.Flags = syscall.IFA_F_NODAD
	return w, errors.Join(err, nl.AddrAdd(pair, a))
}

// onLink has every address on its one link.
type onLink struct{ *fake.Kernel }

// Neighbour implements dataplane.Host.
func (onLink) Neighbour(context.Context, netip.Addr) (string, bool, error) { return "up0", true, nil }

// Neighbour implements dataplane.Host.
func (w *witness) Neighbour(ctx context.Context, a netip.Addr) (string, bool, error) {
	w.mu.Lock()
	w.asked.Neighbours++
	w.mu.Unlock()
	return w.Host.Neighbour(ctx, a)
}

// Apply implements dataplane.Host.
func (w *witness) Apply(ctx context.Context, s dataplane.State) (dataplane.Changes, error) {
	done, err := w.Host.Apply(ctx, s)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked.Applies++
	for _, r := range done.Added {
		w.see(r.Dst.String())
	}
	return done, errors.Join(err, w.out.Flush())
}

// see writes down when something was seen first.
func (w *witness) see(what string) {
	if !w.known[what] {
		w.known[what] = true
		_, _ = fmt.Fprintf(w.out, "has %s %d\n", what, time.Now().UnixNano()) // Flush tells of errors
	}
}

// told is a speaker in memory whose peers are written down.
type told struct {
	*speaker.Speaker
	witness *witness
}

// Apply implements bgp.Speaker.
func (t *told) Apply(ctx context.Context, d bgp.Desired) error {
	err := t.Speaker.Apply(ctx, d)
	t.witness.mu.Lock()
	defer t.witness.mu.Unlock()
	for _, p := range d.Peers {
		t.witness.see(p.Address.String())
	}
	return errors.Join(err, t.witness.out.Flush())
}

// answer each line on standard input with what was asked so far.
func (w *witness) answer() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var used syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // cannot fail
		w.mu.Lock()
		now := w.asked
		w.mu.Unlock()
		now.Processor = time.Duration(used.Utime.Nano() + used.Stime.Nano())
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		now.HeapMiB, now.ResidentMiB = float64(mem.HeapAlloc)/(1<<20), resident()
		text, _ := json.Marshal(now) // numbers
		w.mu.Lock()
		_, _ = fmt.Fprintf(w.out, "asked %s\n", text)
		_ = w.out.Flush() // whoever reads has gone
		w.mu.Unlock()
	}
}

func resident() float64 {
	status, _ := os.ReadFile("/proc/self/status") // 0 without it
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}
