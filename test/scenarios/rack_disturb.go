// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/probe"
)

const (
	// often is how often probes send.
	often = 10 * time.Millisecond
	// connect is how often probes open a connection.
	connect = 50 * time.Millisecond
	// around is how many answers there must be before and after a disturbance.
	around = 100

	agentLabel = "ipv6-agent"
)

// probes from outside: echo requests to a pod on every node, and flows to the shop over whichever nodes the router chooses.
func (r *rack) probes(ctx context.Context, flows int) (probe.All, error) {
	pods, err := r.Workload(ctx)
	if err != nil {
		return nil, err
	}

	address, err := r.shopAddress(ctx)
	if err != nil {
		return nil, err
	}

	var all probe.All

	for _, pod := range pods {
		to, err := netip.ParseAddr(pod.Status.PodIP)
		if err != nil {
			return all, fmt.Errorf("address of pod %s: %w", pod.Name, err)
		}

		p, err := probe.Ping(r.outside(), to, often)
		if err != nil {
			return all, err
		}

		p.Way += " on " + pod.Spec.NodeName
		all = append(all, p)
	}

	for range flows {
		p, err := probe.UDP(r.outside(), netip.AddrPortFrom(address, 81), often)
		if err != nil {
			return all, err
		}

		all = append(all, p)
	}

	return all, nil
}

// expectNoLoss disturbs while probes run.
func (r *rack) expectNoLoss(ctx context.Context, probes probe.All, disturb func(context.Context) error) (string, error) {
	begin := time.Now()
	results, err := probe.During(ctx, around, probes, disturb)
	took := time.Since(begin).Round(time.Second)
	sent := 0

	for i, result := range results {
		sent += result.Sent

		if result.Lost > 0 {
			err = errors.Join(err, fmt.Errorf("%s: %s", probes[i].Way, result))
		}
	}

	return fmt.Sprintf("0 of %d lost within %s", sent, took), err
}

// agents are the agents' pods, by node.
func (r *rack) agents(ctx context.Context) (map[string]corev1.Pod, error) {
	api, err := r.API(ctx)
	if err != nil {
		return nil, err
	}

	list := &corev1.PodList{}
	if err := api.List(ctx, list, client.InNamespace(metav1.NamespaceSystem), client.MatchingLabels{"app": agentLabel}); err != nil {
		return nil, fmt.Errorf("agents: %w", err)
	}

	agents := map[string]corev1.Pod{}

	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			agents[pod.Spec.NodeName] = pod
		}
	}

	if len(agents) == 0 {
		return nil, errors.New("no agent runs")
	}

	return agents, nil
}

// waitForAgents waits until agents run that are none of those before, and hold their sessions.
func (r *rack) waitForAgents(ctx context.Context, before map[string]corev1.Pod) error {
	return driver.Await(ctx, "new agents to be ready, with sessions", 3*time.Minute, func(ctx context.Context) error {
		now, err := r.agents(ctx)
		if err != nil {
			return err
		}

		for name, old := range before {
			if len(now[name].Status.ContainerStatuses) == 0 {
				return fmt.Errorf("there is no agent on %s", name)
			}

			is, was := now[name].Status.ContainerStatuses[0], old.Status.ContainerStatuses[0]
			if is.ContainerID == was.ContainerID || !is.Ready {
				return fmt.Errorf("the agent on %s is not new and ready: %s", name, now[name].Name)
			}
		}

		_, err = r.checkSessions(ctx)

		return err
	})
}

// checkAgentsReplaced deletes the agents' pods, as a rollout does, while probes run.
func (r *rack) checkAgentsReplaced(ctx context.Context) (string, error) {
	return r.restartAgents(ctx, func(ctx context.Context, pod *corev1.Pod) error {
		api, err := r.API(ctx)
		if err != nil {
			return err
		}

		return api.Delete(ctx, pod)
	})
}

// checkAgentsKilled kills the agents' processes, as a crash does.
func (r *rack) checkAgentsKilled(ctx context.Context) (string, error) {
	return r.restartAgents(ctx, func(ctx context.Context, pod *corev1.Pod) error {
		id := strings.TrimPrefix(pod.Status.ContainerStatuses[0].ContainerID, "containerd://")
		_, err := r.Machines().Node(pod.Spec.NodeName).Run(ctx, "ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id)

		return err
	})
}

func (r *rack) restartAgents(ctx context.Context, end func(context.Context, *corev1.Pod) error) (string, error) {
	probes, err := r.probes(ctx, 3)
	if err != nil {
		return "", err
	}

	return r.expectNoLoss(ctx, probes, func(ctx context.Context) error {
		before, err := r.agents(ctx)
		if err != nil {
			return err
		}

		for _, pod := range before {
			if err := end(ctx, &pod); err != nil {
				return fmt.Errorf("ending the agent on %s: %w", pod.Spec.NodeName, err)
			}
		}

		return r.waitForAgents(ctx, before)
	})
}

// kubectl as an administrator of the Shoot.
func (r *rack) kubectl(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(r.Machines().Bin, "kubectl"), args...) // #nosec G204 -- our own program
	cmd.Env = append(os.Environ(), "KUBECONFIG="+driver.ShootKubeconfigPath(r.Machines().Dir))

	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}

	return nil
}

// deletionTaint says that a node will go: whoever scales the cluster down puts it on before draining.
const deletionTaint = "ToBeDeletedByClusterAutoscaler"

// checkDrain drains a node that will go, while new connections to the shop come in. The node tells the router at once that it serves no
// more; its pod of the shop ends after it has served those that it has.
func (r *rack) checkDrain(ctx context.Context) (string, error) {
	const name = "n3"

	address, err := r.shopAddress(ctx)
	if err != nil {
		return "", err
	}

	route := netip.PrefixFrom(address, address.BitLen())
	probes := probe.All{probe.HTTP(r.outside(), "http://["+address.String()+"]/hostname", connect)}

	found, err := r.expectNoLoss(ctx, probes, func(ctx context.Context) error {
		if err := r.kubectl(ctx, "taint", "node", name, deletionTaint+"=now:NoSchedule"); err != nil {
			return err
		}

		// the range of Services and the shop are withdrawn; the node's own prefix is not, because pods live there
		if err := errors.Join(
			r.waitForRoute(ctx, route, r.Scenario.Nodes-1), r.waitForRoute(ctx, r.services, r.Scenario.Nodes-1), r.hasPrefix(ctx, name),
		); err != nil {
			return err
		}

		return r.kubectl(ctx, "drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=2m")
	})

	return found, errors.Join(err, r.undrain(ctx, name, route))
}

// hasPrefix expects the router to know the way to a node's own prefix.
func (r *rack) hasPrefix(ctx context.Context, name string) error {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return err
	}

	for _, n := range nodes {
		if n.name == name {
			return r.waitForRoute(ctx, n.prefix(), 1)
		}
	}

	return fmt.Errorf("there is no node %s", name)
}

// undrain takes a node into service again; the pod of the shop that has waited for it starts there.
func (r *rack) undrain(ctx context.Context, name string, route netip.Prefix) error {
	if err := errors.Join(
		r.kubectl(ctx, "taint", "node", name, deletionTaint+"-"), r.kubectl(ctx, "uncordon", name), r.waitForShop(ctx, r.Scenario.Nodes),
	); err != nil {
		return err
	}

	return errors.Join(r.waitForRoute(ctx, route, r.Scenario.Nodes), r.waitForRoute(ctx, r.services, r.Scenario.Nodes))
}

// checkPowerOff takes the power from a node. Flows through other nodes must not notice; those through it are lost until the router's hold
// time is over, because nobody tells it sooner.
func (r *rack) checkPowerOff(ctx context.Context) (string, error) {
	const name = "n3"

	probes, err := r.probes(ctx, 12)
	if err != nil {
		return "", err
	}

	address, err := r.shopAddress(ctx)
	if err != nil {
		return "", err
	}

	route := netip.PrefixFrom(address, address.BitLen())

	var gone time.Duration

	if err := probes.Wait(ctx, around); err != nil {
		return "", err
	}

	begin := time.Now()
	err = r.Machines().Node(name).PowerOff(ctx)

	if err == nil {
		err = r.waitForRoute(ctx, route, r.Scenario.Nodes-1)
		gone = time.Since(begin)
	}

	var found string

	if err == nil {
		found, err = r.survivors(ctx, probes, name, gone)
	}

	for _, p := range probes {
		p.Stop()
	}

	return found, errors.Join(err, r.powerOn(ctx, route))
}

// survivors judges the probes after the router has let go of a node.
func (r *rack) survivors(ctx context.Context, probes probe.All, name string, gone time.Duration) (string, error) {
	if limit := r.router.detects() + 2*time.Second; gone > limit {
		return "", fmt.Errorf("the router sent packets to the dead node for %s, want %s at most", gone.Round(100*time.Millisecond), limit)
	}

	var flows probe.All

	for _, p := range probes {
		if !strings.HasSuffix(p.Way, " on "+name) {
			flows = append(flows, p)
		}
	}

	// all that do not lead to a pod of the dead node are answered again
	if err := flows.Wait(ctx, around); err != nil {
		return "", err
	}

	var (
		lost, sent, hit int
		longest         time.Duration
	)

	for _, p := range flows {
		result := p.Stop()

		if ping := strings.HasPrefix(p.Way, "echo"); ping && result.Lost > 0 {
			return "", fmt.Errorf("%s, which is another node's: %s", p.Way, result)
		} else if ping {
			continue
		}

		if result.Lost > 0 {
			hit++
		}

		lost, sent, longest = lost+result.Lost, sent+result.Sent, max(longest, result.Gap)
	}

	return fmt.Sprintf("the router let go of it after %.1f s; %d of 12 flows to the shop led there: %d of all %d packets lost, %.1f s at most; pods elsewhere: 0",
		gone.Seconds(), hit, lost, sent, longest.Seconds()), nil
}

// powerOn brings the cluster back to what it was.
func (r *rack) powerOn(ctx context.Context, route netip.Prefix) error {
	if err := errors.Join(r.ScaleNodes(ctx, r.Scenario.Nodes), r.WaitForNodes(ctx, r.Scenario.Nodes)); err != nil {
		return err
	}

	if err := errors.Join(r.DeployWorkload(ctx, r.Scenario.Nodes), r.settle(ctx)); err != nil {
		return err
	}

	probes, err := r.probes(ctx, 3)
	if err != nil {
		return err
	}

	_, err = probe.During(ctx, around, probes, func(context.Context) error { return nil })

	return errors.Join(err, r.waitForRoute(ctx, route, r.Scenario.Nodes))
}
