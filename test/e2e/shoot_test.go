//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
)

const (
	// shootNodes is how many nodes the demo's Shoot has, unless a test changes it.
	shootNodes = 3
	// webPort is where the demo's web servers tell every caller the address that they see.
	webPort = 8080
)

// shoot is the demo's Shoot.
type shoot struct {
	*driver.Cluster

	// api is its API server.
	api client.Client
}

// demo finds the demo's Shoot with its three nodes and its web servers, or makes it so.
func demo(t *testing.T) *shoot {
	t.Helper()

	if cluster, err := world.OpenDemo(t.Context()); err == nil && cluster.Scenario.Name == driver.DemoScenario && whole(t.Context(), cluster) {
		return wrap(t, cluster)
	}

	return deploy(t)
}

// deploy creates the demo's Shoot, or reconciles it.
func deploy(t *testing.T) *shoot {
	t.Helper()

	cluster, err := world.DeployDemo(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "the demo's Shoot does not come up")

	return wrap(t, cluster)
}

func whole(ctx context.Context, cluster *driver.Cluster) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	pods, err := cluster.Workload(ctx)
	if err != nil || len(pods) != shootNodes {
		return false
	}

	_, err = cluster.Client(ctx)

	return err == nil
}

func wrap(t *testing.T, cluster *driver.Cluster) *shoot {
	t.Helper()

	g := NewWithT(t)
	config, err := cluster.ShootConfig(t.Context())
	g.Expect(err).NotTo(HaveOccurred(), "access to the Shoot")

	api, err := client.New(config, client.Options{})
	g.Expect(err).NotTo(HaveOccurred(), "client of the Shoot")

	return &shoot{Cluster: cluster, api: api}
}

// nodes of the Shoot, by name.
func (s *shoot) nodes(t *testing.T) []corev1.Node {
	t.Helper()

	list := &corev1.NodeList{}
	NewWithT(t).Expect(s.api.List(t.Context(), list)).To(Succeed(), "listing the Shoot's nodes")

	return list.Items
}

// podRanges gives every node's podCIDR, of which it has one.
func (s *shoot) podRanges(t *testing.T) map[string]netip.Prefix {
	t.Helper()

	ranges := map[string]netip.Prefix{}

	for _, node := range s.nodes(t) {
		NewWithT(t).Expect(node.Spec.PodCIDRs).To(HaveLen(1), "podCIDRs of node %s", node.Name)
		ranges[node.Name] = parsePrefix(t, node.Spec.PodCIDRs[0])
	}

	return ranges
}

// web lists the web servers, one a node.
func (s *shoot) web(t *testing.T) []corev1.Pod {
	t.Helper()

	pods, err := s.Workload(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(pods).NotTo(BeEmpty(), "no web server is ready")

	return pods
}

// page of a web server. clientip tells the caller's address, hostname the server's name.
func page(host string, port int, name string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}

	return "http://" + host + ":" + strconv.Itoa(port) + "/" + name
}

var curl = []string{"curl", "--silent", "--show-error", "--globoff", "--fail", "--max-time", "5"}

// expectSeen has the pod call a web server until it answers, and expects it to have seen the given address.
func (s *shoot) expectSeen(t *testing.T, from *corev1.Pod, host string, port int, want string) {
	t.Helper()

	expectAddress(t, fmt.Sprintf("from pod %s on %s to %s port %d", from.Name, from.Spec.NodeName, host, port), want, func(ctx context.Context) (string, error) {
		return s.Exec(ctx, from.Namespace, from.Name, append(slices.Clone(curl), page(host, port, "clientip"))...)
	})
}

// expectSeenFromOutside does the same from the host outside.
func (s *shoot) expectSeenFromOutside(t *testing.T, host string, port int, want string) {
	t.Helper()

	expectAddress(t, fmt.Sprintf("from the host outside to %s port %d", host, port), want, func(ctx context.Context) (string, error) {
		return s.ExecOutside(ctx, append(slices.Clone(curl), page(host, port, "clientip"))...)
	})
}

func expectAddress(t *testing.T, way, want string, call func(context.Context) (string, error)) {
	t.Helper()

	var seen string

	eventually(t, 20*time.Second, way+": no answer", func(g Gomega) {
		var err error
		seen, err = call(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
	})

	address, err := netip.ParseAddrPort(strings.TrimSpace(seen))
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "%s: the other end answers %q", way, seen)
	NewWithT(t).Expect(address.Addr().String()).To(Equal(want), "%s: the source address that the other end saw", way)
}

// inPod is a program of the machine, run in the pod's network namespace on its node.
func (s *shoot) inPod(t *testing.T, pod *corev1.Pod, program ...string) *exec.Cmd {
	t.Helper()

	g := NewWithT(t)
	node := world.machine.Node(pod.Spec.NodeName)

	g.Expect(pod.Status.ContainerStatuses).NotTo(BeEmpty(), "containers of pod %s", pod.Name)
	id := strings.TrimPrefix(pod.Status.ContainerStatuses[0].ContainerID, "containerd://")

	tasks, err := node.Run(t.Context(), "ctr", "--namespace", "k8s.io", "tasks", "list")
	g.Expect(err).NotTo(HaveOccurred(), "processes of node %s", node.Name)

	for line := range strings.Lines(tasks) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == id {
			return node.Command(t.Context(), "nsenter", append([]string{"--net=/proc/" + fields[1] + "/ns/net", "--"}, program...)...)
		}
	}

	t.Fatalf("pod %s has no process on node %s:\n%s", pod.Name, node.Name, tasks)

	return nil
}

// ping sends echo requests of the given payload from a pod's network namespace.
func (s *shoot) ping(t *testing.T, from *corev1.Pod, args ...string) (string, error) {
	t.Helper()

	var out bytes.Buffer

	cmd := s.inPod(t, from, append([]string{"ping", "-6", "-n", "-c", "3", "-i", "0.05", "-W", "2"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()

	return out.String(), err
}

func parsePrefix(t *testing.T, text string) netip.Prefix {
	t.Helper()

	p, err := netip.ParsePrefix(text)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())

	return p
}

func parseAddr(t *testing.T, text string) netip.Addr {
	t.Helper()

	a, err := netip.ParseAddr(text)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())

	return a
}

// internalIP of a node.
func internalIP(t *testing.T, node *corev1.Node) netip.Addr {
	t.Helper()

	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return parseAddr(t, address.Address)
		}
	}

	t.Fatalf("node %s has no address", node.Name)

	return netip.Addr{}
}
