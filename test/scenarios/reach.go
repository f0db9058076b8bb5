// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

const (
	// webPort is where the demo's web servers tell every caller the address that they see.
	webPort = 8080
	// reachLimit is how long a way may take to come about: kube-proxy and the agents follow the API server.
	reachLimit = 20 * time.Second
)

// call is an HTTP request and the source address that the other end is to see.
type call struct {
	from, to string
	// run sends it from where it is to come from.
	run func(ctx context.Context, command ...string) (string, error)
	// host and port it is sent to.
	host string
	port int
	// want is the address to be seen, and why says what that means.
	want netip.Addr
	why  string
}

// once makes the call and gives the address that was seen.
func (c call) once(ctx context.Context) (netip.Addr, error) {
	host := c.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}

	seen, err := c.run(ctx, "curl", "--silent", "--show-error", "--globoff", "--fail", "--max-time", "5",
		"http://"+host+":"+strconv.Itoa(c.port)+"/clientip")
	if err != nil {
		return netip.Addr{}, err
	}

	address, err := netip.ParseAddrPort(strings.TrimSpace(seen))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the other end answers %q", seen)
	}

	return address.Addr().Unmap(), nil
}

// check makes the call until it is answered, and judges the answer.
func (c call) check(ctx context.Context) error {
	seen, err := c.answered(ctx)

	switch {
	case err != nil:
		return fmt.Errorf("from %s to %s at %s: %w", c.from, c.to, c.host, err)
	case seen != c.want:
		return fmt.Errorf("from %s to %s at %s: the other end sees %s instead of %s", c.from, c.to, c.host, seen, c.want)
	}

	return nil
}

func (c call) answered(ctx context.Context) (netip.Addr, error) {
	var seen netip.Addr

	return seen, driver.Await(ctx, "an answer", reachLimit, func(ctx context.Context) (err error) {
		seen, err = c.once(ctx)

		return err
	})
}

// journey is the call for the report.
func (c call) journey(ctx context.Context) show.Journey {
	journey := show.Journey{From: c.from, To: c.to, How: "curl"}

	seen, err := c.answered(ctx)
	if err != nil {
		journey.Verdict = err.Error()

		return journey
	}

	journey.Seen, journey.OK, journey.Verdict = seen.String(), seen == c.want, c.why
	if !journey.OK {
		journey.Verdict = "not " + c.want.String()
	}

	return journey
}

// checkAll makes all calls and tells how many there were.
func checkAll(ctx context.Context, calls []call) (int, error) {
	for _, c := range calls {
		if err := c.check(ctx); err != nil {
			return 0, err
		}
	}

	return len(calls), nil
}

// inPod runs programs in a pod's container.
func inPod(c *driver.Cluster, pod *corev1.Pod) func(context.Context, ...string) (string, error) {
	return func(ctx context.Context, command ...string) (string, error) {
		return c.Exec(ctx, pod.Namespace, pod.Name, command...)
	}
}

// podAddress is the pod's address of a family.
func podAddress(pod *corev1.Pod, six bool) (netip.Addr, error) {
	for _, ip := range pod.Status.PodIPs {
		if address, err := netip.ParseAddr(ip.IP); err == nil && address.Is6() == six {
			return address, nil
		}
	}

	return netip.Addr{}, fmt.Errorf("pod %s has no address of the family: %v", pod.Name, pod.Status.PodIPs)
}

// between are the calls of every web server to every other, with its own address of the family.
func between(c *driver.Cluster, pods []corev1.Pod, six bool) ([]call, error) {
	var calls []call

	for i := range pods {
		own, err := podAddress(&pods[i], six)
		if err != nil {
			return nil, err
		}

		for j := range pods {
			if i == j {
				continue
			}

			other, err := podAddress(&pods[j], six)
			if err != nil {
				return nil, err
			}

			calls = append(calls, call{
				from: "pod on " + pods[i].Spec.NodeName, to: "pod on " + pods[j].Spec.NodeName, run: inPod(c, &pods[i]),
				host: other.String(), port: webPort, want: own, why: "its own: no NAT",
			})
		}
	}

	return calls, nil
}

// world are the calls of every web server to the host outside, and of that to every web server, with their own IPv6 addresses.
func world(c *driver.Cluster, pods []corev1.Pod) ([]call, error) {
	var calls []call

	for i := range pods {
		own, err := podAddress(&pods[i], true)
		if err != nil {
			return nil, err
		}

		name := "pod on " + pods[i].Spec.NodeName
		calls = append(calls, call{
			from: name, to: "host outside", run: inPod(c, &pods[i]),
			host: c.OutsideAddress().String(), port: driver.OutsidePort, want: own, why: "its own: no NAT",
		}, call{
			from: "host outside", to: name, run: c.ExecOutside,
			host: own.String(), port: webPort, want: c.OutsideAddress(), why: "its own: no NAT",
		})
	}

	return calls, nil
}

// internalIPs are a node's addresses of a family.
func internalIPs(node *corev1.Node, six bool) []netip.Addr {
	var addresses []netip.Addr

	for _, address := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(address.Address); err == nil && address.Type == corev1.NodeInternalIP && ip.Is6() == six {
			addresses = append(addresses, ip)
		}
	}

	return addresses
}

// nodesOf lists the Shoot's nodes by name.
func nodesOf(ctx context.Context, c *driver.Cluster) ([]corev1.Node, error) {
	api, err := c.API(ctx)
	if err != nil {
		return nil, err
	}

	list := &corev1.NodeList{}
	if err := api.List(ctx, list); err != nil {
		return nil, fmt.Errorf("nodes of the Shoot: %w", err)
	}

	slices.SortFunc(list.Items, func(a, b corev1.Node) int { return strings.Compare(a.Name, b.Name) })

	return list.Items, nil
}

// podRange is the node's pod range of a family.
func podRange(node *corev1.Node, six bool) (netip.Prefix, error) {
	for _, text := range node.Spec.PodCIDRs {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() == six {
			return p, nil
		}
	}

	return netip.Prefix{}, fmt.Errorf("node %s has no pod range of the family: %q", node.Name, node.Spec.PodCIDRs)
}

// kubectl runs kubectl on the Shoot, as a person would.
func kubectl(ctx context.Context, c *driver.Cluster, args ...string) (string, error) {
	machines := c.Machines()
	cmd := exec.CommandContext(ctx, filepath.Join(machines.Bin, "kubectl"), args...) // #nosec G204 -- our own program
	cmd.Env = append(os.Environ(), "KUBECONFIG="+driver.ShootKubeconfigPath(machines.Dir))

	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}

	return string(out), nil
}

// keyOf names an object of the demo.
func keyOf(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: driver.WorkloadNamespace, Name: name}
}
