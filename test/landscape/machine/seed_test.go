// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/image"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// needRoot skips a test that changes the machine's network, loudly, and fails it where it has to run.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and CI=true says that it has to run")
	}
	t.Skip("LEFT OUT: this test needs root")
}

// traces is what a landscape may leave on the machine.
type traces struct {
	Mounts, Namespaces, Groups, Processes, Settings []string
}

// look collects the machine's state as far as a landscape could change it.
func look(g Gomega, l *machine.Landscape) traces {
	var t traces
	lines := func(command ...string) []string {
		out, err := exec.Command(command[0], command[1:]...).Output() // #nosec G204 -- commands from below
		g.Expect(err).NotTo(HaveOccurred())
		return slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(out)), "\n"))
	}
	about := func(all []string) (ours []string) {
		for _, line := range all {
			if strings.Contains(line, l.Name) {
				ours = append(ours, line)
			}
		}
		return ours
	}
	// others may work on this machine: only what bears the landscape's name is compared
	t.Mounts = about(lines("cat", "/proc/self/mounts"))
	t.Namespaces = about(lines("sh", "-c", "ls /run/netns 2>/dev/null || true"))
	t.Groups = lines("sh", "-c", "find /sys/fs/cgroup -type d -path '*/"+l.Name+"*' 2>/dev/null || true")
	t.Processes = about(lines("sh", "-c", "cat /proc/[0-9]*/cgroup 2>/dev/null || true"))
	if others, _ := filepath.Glob("/run/netns/*-router"); len(others) == 0 {
		// the last landscape that goes restores them
		t.Settings = lines("sysctl", "fs.inotify", "vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops", "kernel.keys")
	}
	return t
}

// bed is a landscape for a test, with images for the seed's node.
type bed struct {
	*machine.Landscape
	g      Gomega
	config machine.SeedConfig
	before traces
}

func newBed(t *testing.T, name string) *bed {
	t.Helper()
	needRoot(t)
	g := NewWithT(t)
	bin, err := build.BinDir()
	g.Expect(err).NotTo(HaveOccurred())
	for _, program := range []string{"landscape-enter", "kubelet", "containerd"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not built: go run ./test/landscape/build/cmd landscape", program)
		}
		t.Skipf("LEFT OUT: %s is not built: go run ./test/landscape/build/cmd landscape", program)
	}
	specs, err := image.Base(bin)
	g.Expect(err).NotTo(HaveOccurred())
	images := filepath.Join(bin, "..", "images", "machine-test.tar")
	_, err = image.Archive(images, specs)
	g.Expect(err).NotTo(HaveOccurred())
	l, err := machine.New(name, filepath.Join(t.TempDir(), name), bin, t.Logf)
	g.Expect(err).NotTo(HaveOccurred())
	b := &bed{Landscape: l, g: g, config: machine.DefaultSeed()}
	b.config.Images = []string{images}
	g.Expect(l.Down(t.Context())).To(Succeed(), "what an earlier run may have left")
	b.before = look(g, l)
	t.Cleanup(func() { g.Expect(l.Down(context.Background())).To(Succeed()) })
	return b
}

func (b *bed) expectNoTrace(t *testing.T) {
	t.Helper()
	b.g.Expect(b.Down(t.Context())).To(Succeed())
	b.g.Eventually(func() traces { return look(b.g, b.Landscape) }).WithTimeout(10 * time.Second).Should(Equal(b.before))
	b.g.Expect(b.Dir).NotTo(BeAnExistingFile())
}

// TestSeed brings up the garden's cluster with its node, sees the resolver's pod become ready, finds that bringing it up again
// changes nothing, cuts the node's power, and takes all down.
func TestSeed(t *testing.T) {
	b := newBed(t, "gx6t")
	g, ctx := b.g, t.Context()
	start := time.Now()
	since := func(what string) { t.Logf("%-45s %5.1fs", what, time.Since(start).Seconds()); start = time.Now() }
	seed, err := b.StartSeed(ctx, b.config)
	g.Expect(err).NotTo(HaveOccurred())
	since("seed started")
	ready := func() {
		g.Expect(seed.WaitNodesReady(ctx, 1, time.Minute)).To(Succeed())
		g.Expect(seed.WaitRollout(ctx, "kube-system", "deployment/coredns", 2*time.Minute)).To(Succeed())
	}
	ready()
	since("node and its resolver's pod ready")

	pids := func() string {
		files, err := filepath.Glob(filepath.Join(b.Dir, "*", "*.pid"))
		g.Expect(err).NotTo(HaveOccurred())
		out, err := exec.Command("cat", files...).Output() // #nosec G204 -- PID files
		g.Expect(err).NotTo(HaveOccurred())
		return string(out)
	}
	running := pids()
	seed, err = b.StartSeed(ctx, b.config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pids()).To(Equal(running), "what runs is left alone")
	since("started again")

	ask := func(host *machine.Host, resolver string) func() (string, error) {
		return func() (string, error) {
			return host.Run(ctx, "dig", "+short", "+time=1", "+tries=1", "AAAA", "kubernetes.default.svc.cluster.local", "@"+resolver)
		}
	}
	const answer = "fd5e:ed00:3::1\n"
	g.Expect(ask(seed.Cluster.Host, podAddress(g, seed))()).To(Equal(answer), "the API server's host reaches pods")
	g.Eventually(ask(seed.Node.Host, seed.DNS().String())).WithTimeout(time.Minute).Should(Equal(answer), "the node reaches Services")

	g.Expect(seed.Node.PowerOff(ctx)).To(Succeed())
	g.Expect(seed.Node.Up()).To(BeFalse())
	since("power cut")
	seed, err = b.StartSeed(ctx, b.config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(ask(seed.Node.Host, seed.DNS().String())).WithTimeout(2 * time.Minute).Should(Equal(answer))
	since("the node serves again after the power cut")

	b.expectNoTrace(t)
	since("down")
	b.expectNoTrace(t)
}

func podAddress(g Gomega, seed *machine.Seed) string {
	out, err := seed.Kubectl(context.Background(), "", "-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns",
		"-o", "jsonpath={.items[0].status.podIP}")
	g.Expect(err).NotTo(HaveOccurred())
	return out
}

// TestDownAfterACrash takes down what was left in the middle: a control plane without its node, and a node whose first process
// was killed.
func TestDownAfterACrash(t *testing.T) {
	b := newBed(t, "gx6u")
	g, ctx := b.g, t.Context()
	_, err := b.StartRouter(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(b.SetGateway(ctx, machine.SeedLink, netip.MustParsePrefix("fd5e:ed00:1::1/64"))).To(Succeed())
	_, err = b.PrepareNode(ctx, machine.NodeConfig{HostConfig: b.config.Host("n1", 0x21)})
	g.Expect(err).NotTo(HaveOccurred())
	node := b.Node("n1")
	_, err = node.Run(ctx, "ping", "-6", "-c1", "-W2", "fd5e:ed00:1::1")
	g.Expect(err).NotTo(HaveOccurred())
	first, err := os.ReadFile(filepath.Join(node.Dir(), "init.pid"))
	g.Expect(err).NotTo(HaveOccurred())
	var pid int
	_, err = fmt.Sscan(string(first), &pid)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(syscall.Kill(pid, syscall.SIGKILL)).To(Succeed())
	g.Eventually(node.Up).WithTimeout(20 * time.Second).Should(BeFalse())
	_, err = node.Run(ctx, "true")
	g.Expect(err).To(MatchError(ContainSubstring("node n1 is down")))
	// half of a host: its namespace's file without a mount, as a crash leaves it
	g.Expect(os.WriteFile("/run/netns/gx6u-half", nil, 0o600)).To(Succeed())

	b.expectNoTrace(t)
}
