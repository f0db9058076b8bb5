// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// agentTags keep gRPC, which GoBGP links and the agent never serves, from linking the pages that it shows traces on: with their templates
// the linker can leave out no method of any type, and the agent has a third more in memory.
const agentTags = "grpcnotrace"

// cluster is a kube-apiserver that the agents' tests share, and the agent's program.
var cluster struct {
	once    sync.Once
	env     *envtest.Environment
	program string
	dir     string
	err     error
}

func startCluster(t testing.TB) {
	t.Helper()
	cluster.once.Do(func() {
		if cluster.dir, cluster.err = os.MkdirTemp("", "bgp-agent-"); cluster.err != nil {
			return
		}
		cluster.program = filepath.Join(cluster.dir, "ipv6-agent")
		build := exec.Command("go", "build", "-tags", agentTags, "-ldflags", "-s -w", "-o", cluster.program, "../../cmd/ipv6-agent") //nolint:gosec // the tests' own command
		if out, err := build.CombinedOutput(); err != nil {
			cluster.err = fmt.Errorf("build the agent: %w\n%s", err, out)
			return
		}
		cluster.env, cluster.err = envtest.New(envtest.WithServiceRange("2001:db8:100::/112"))
	})
	if cluster.err != nil {
		t.Fatal(cluster.err)
	}
}

func stopCluster() error {
	err := os.RemoveAll(cluster.dir)
	if cluster.env != nil {
		err = errors.Join(err, cluster.env.Stop())
	}
	return err
}

// agent is an ipv6-agent on a node of the cluster, in the node's namespace.
type agent struct {
	t      testing.TB
	space  *space
	name   string
	dir    string
	client kubernetes.Interface
	// ctx outlives the test's own, for its cleaning up.
	ctx  context.Context
	log  *os.File
	cmd  *exec.Cmd
	done chan error
}

// cleanup after the test.
func (a *agent) cleanup(f func(*agent) error) {
	a.t.Cleanup(func() {
		if err := f(a); err != nil {
			a.t.Error(err)
		}
	})
}

// logged is what all runs of the agent have said.
func (a *agent) logged() string {
	out, err := os.ReadFile(a.log.Name())
	if err != nil {
		a.t.Fatal(err)
	}
	return string(out)
}

// newAgent makes the Node and the agent's files. The agent is not started.
func newAgent(t testing.TB, s *space, cfg agentconfig.Config, addresses, podCIDRs []string) *agent {
	t.Helper()
	startCluster(t)
	client, err := kubernetes.NewForConfig(rest.CopyConfig(cluster.env.Config))
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, space: s, name: s.name, dir: t.TempDir(), client: client, ctx: context.WithoutCancel(t.Context())}
	if a.log, err = os.Create(filepath.Join(a.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(a.logged())
		}
		_ = a.log.Close()
	})
	a.proxy()
	a.configure(cfg)
	a.write("kubeconfig", cluster.env.Kubeconfig)
	for _, d := range []string{"bin", "net.d", "plugins", "state", "addresses"} {
		if err := os.Mkdir(filepath.Join(a.dir, d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range agentconfig.Plugins() {
		a.write(filepath.Join("plugins", p), nil)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: a.name}, Spec: corev1.NodeSpec{PodCIDRs: podCIDRs}}
	if len(podCIDRs) > 0 {
		node.Spec.PodCIDR = podCIDRs[0]
	}
	if node, err = client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	a.cleanup(func(a *agent) error { return client.CoreV1().Nodes().Delete(a.ctx, a.name, metav1.DeleteOptions{}) })
	for _, address := range addresses {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: address})
	}
	if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.signal(syscall.SIGKILL) })
	return a
}

// proxy brings the API server into the namespace, under its address: sockets stay where they were made.
func (a *agent) proxy() {
	server, err := url.Parse(cluster.env.Config.Host)
	if err != nil {
		a.t.Fatal(err)
	}
	if server.Host == "" { // without a scheme
		server.Host = cluster.env.Config.Host
	}
	var listener net.Listener
	if err := a.space.within(func() error {
		listener, err = net.Listen("tcp", server.Host)
		return err
	}); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close() //nolint:errcheck // whatever it was, it is over
				to, err := net.Dial("tcp", server.Host)
				if err != nil {
					return
				}
				defer to.Close()                         //nolint:errcheck // whatever it was, it is over
				go func() { _, _ = io.Copy(to, from) }() // ends with the agent, or when both are closed
				_, _ = io.Copy(from, to)
			}()
		}
	}()
}

func (a *agent) configure(cfg agentconfig.Config) {
	data, err := agentconfig.Encode(cfg)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write("agent.json", data)
}

func (a *agent) write(name string, data []byte) {
	if err := os.WriteFile(filepath.Join(a.dir, name), data, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// start the agent.
func (a *agent) start() {
	a.t.Helper()
	at := func(name string) string { return filepath.Join(a.dir, name) }
	a.cmd = exec.Command(cluster.program, //nolint:gosec // the tests' own program
		"--config", at("agent.json"), "--node-name", a.name, "--kubeconfig", at("kubeconfig"), "--state-dir", at("state"), "--address-dir", at("addresses"), "--socket", at("cni.sock"),
		"--cni-bin-dir", at("bin"), "--cni-conf-dir", at("net.d"), "--plugin-dir", at("plugins"), "--http-address", "[::1]:10301")
	a.cmd.Stdout, a.cmd.Stderr = a.log, a.log
	if err := a.space.within(a.cmd.Start); err != nil {
		a.t.Fatal(err)
	}
	a.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(a.cmd, a.done)
}

// signal ends the agent and waits for its end.
func (a *agent) signal(s os.Signal) error {
	if a.cmd == nil {
		return nil
	}
	_ = a.cmd.Process.Signal(s) // it may have ended by itself
	a.cmd = nil
	return <-a.done
}

// metric returns the lines of the agent's metrics that begin so.
func (a *agent) metric(prefix string) string {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
			err = a.space.within(func() error {
				c, err = (&net.Dialer{}).DialContext(ctx, network, address)
				return err
			})
			return c, err
		},
	}}
	resp, err := client.Get("http://[::1]:10301/metrics")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	var out []string
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, prefix) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

// change the Node.
func (a *agent) change(f func(*corev1.Node)) {
	a.t.Helper()
	node, err := a.client.CoreV1().Nodes().Get(a.t.Context(), a.name, metav1.GetOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	f(node)
	if _, err := a.client.CoreV1().Nodes().Update(a.t.Context(), node, metav1.UpdateOptions{}); err != nil {
		a.t.Fatal(err)
	}
}

// events of the Node, a line each.
func (a *agent) events() string {
	list, err := a.client.CoreV1().Events("").List(context.Background(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + a.name})
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, e := range list.Items {
		out = append(out, e.Reason+": "+e.Message)
	}
	return strings.Join(out, "\n")
}

// agentLab is the lab with a whole agent in the speaker's place.
type agentLab struct {
	Gomega
	node   *space
	router *router
	agent  *agent
}

func newAgentLab(t testing.TB, neighbor, more string, cfg agentconfig.Config) *agentLab {
	t.Helper()
	needsRoot(t)
	node, tor := newSpace(t, "node"), newSpace(t, "tor")
	link(node, tor, []string{"2001:db8:1::2/64"}, []string{"2001:db8:1::1/64"})
	node.run("ip", "route", "add", "default", "via", "2001:db8:1::1")
	return &agentLab{
		Gomega: NewWithT(t), node: node,
		router: bird(t, tor, "192.0.2.1", `
protocol bgp node {
  local as 65000;
  neighbor 2001:db8:1::2 as 65001;
  connect retry time 1; error wait time 1,1;
  `+neighbor+`
  ipv6 { import all; export where source = RTS_STATIC; };
}
`+more),
		agent: newAgent(t, node, cfg, []string{"2001:db8:1::2"}, []string{"2001:db8:2::/80"}),
	}
}

// bgpConfig announces node prefixes to the router, with graceful restart.
func bgpConfig() agentconfig.Config {
	return agentconfig.Config{
		RoutingMode: agentconfig.BGP, IPFamilies: []string{"IPv6"}, ServiceCIDRs: []string{"2001:db8:100::/112"},
		BGP: &agentconfig.BGPConfig{
			ASN: 65001, GracefulRestartSeconds: 60, Advertise: agentconfig.Advertise{NodePrefixes: true},
			Peers: []agentconfig.BGPPeer{{Address: "2001:db8:1::1", ASN: 65000, HoldTimeSeconds: 9, ConnectRetrySeconds: 1}},
		},
	}
}

// has waits for a route in the router's kernel.
func (l *agentLab) has(prefix string) {
	l.Eventually(func() string { return l.router.routes(prefix) }).WithTimeout(soon).WithPolling(20*time.Millisecond).
		Should(ContainSubstring("via 2001:db8:1::2 dev eth0"), prefix)
}

// lacks waits until the router's kernel has no such route.
func (l *agentLab) lacks(prefix string) {
	l.Eventually(func() string { return l.router.routes(prefix) }).WithTimeout(soon).WithPolling(20*time.Millisecond).Should(BeEmpty(), prefix)
}
