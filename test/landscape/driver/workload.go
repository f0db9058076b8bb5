// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// WorkloadNamespace is where the demo's web servers run, in the Shoot.
	WorkloadNamespace = "demo"
	// ServiceName is the name of the web servers' Service in DNS.
	ServiceName = workloadName + "." + WorkloadNamespace + ".svc.cluster.local"
	// WorkloadHostPort is where nodes forward to their web server.
	WorkloadHostPort = 8888

	workloadName = "web"
	clientName   = "client"
)

// DeployWorkload runs a web server on every node and waits until all are ready.
func (c *Cluster) DeployWorkload(ctx context.Context, nodes int) error {
	shoot, err := c.API(ctx)
	if err != nil {
		return err
	}

	values := map[string]string{"Image": c.machine.Image("agnhost")}

	manifest, err := render("workload.yaml", values)
	if err != nil {
		return err
	}

	more, err := fill("workload of the scenario", c.Scenario.Workload, values)
	if err != nil {
		return err
	}

	// gardener-resource-manager's webhooks for pods answer a moment after their registration.
	if err := until(ctx, waiting{what: "the demo's objects to be accepted", limit: time.Minute}, func(ctx context.Context) error {
		return errors.Join(applyManifest(ctx, shoot, manifest), applyManifest(ctx, shoot, more))
	}); err != nil {
		return err
	}

	return until(ctx, waiting{
		what:  "a web server on every node",
		limit: 2 * time.Minute,
		logs:  c.shootHint("-n " + WorkloadNamespace + " describe pods"),
	}, func(ctx context.Context) error {
		pods, err := c.Workload(ctx)
		if err != nil {
			return err
		}

		if len(pods) != nodes {
			return fmt.Errorf("%d of %d are there", len(pods), nodes)
		}

		_, err = c.Client(ctx)

		return err
	})
}

// Client is the pod that calls the web servers.
func (c *Cluster) Client(ctx context.Context) (*corev1.Pod, error) {
	pods, err := c.readyPods(ctx, clientName)
	if err != nil {
		return nil, err
	}

	if len(pods) != 1 {
		return nil, fmt.Errorf("%d clients are ready instead of one", len(pods))
	}

	return &pods[0], nil
}

// Workload lists the ready web servers, by node.
func (c *Cluster) Workload(ctx context.Context) ([]corev1.Pod, error) {
	return c.readyPods(ctx, workloadName)
}

func (c *Cluster) readyPods(ctx context.Context, app string) ([]corev1.Pod, error) {
	shoot, err := c.API(ctx)
	if err != nil {
		return nil, err
	}

	pods := &corev1.PodList{}
	if err := shoot.List(ctx, pods, client.InNamespace(WorkloadNamespace), client.MatchingLabels{"app": app}); err != nil {
		return nil, fmt.Errorf("the demo's pods: %w", err)
	}

	ready := slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
		return pod.DeletionTimestamp != nil || pod.Status.PodIP == "" || !podReady(&pod)
	})

	slices.SortFunc(ready, func(a, b corev1.Pod) int { return strings.Compare(a.Spec.NodeName, b.Spec.NodeName) })

	return ready, nil
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// WorkloadService gives the ClusterIP of the web servers.
func (c *Cluster) WorkloadService(ctx context.Context) (netip.Addr, error) {
	shoot, err := c.API(ctx)
	if err != nil {
		return netip.Addr{}, err
	}

	service := &corev1.Service{}
	if err := shoot.Get(ctx, client.ObjectKey{Namespace: WorkloadNamespace, Name: workloadName}, service); err != nil {
		return netip.Addr{}, fmt.Errorf("the demo's Service: %w", err)
	}

	return netip.ParseAddr(service.Spec.ClusterIP)
}

// Exec runs a program in a pod of the Shoot and gives what it prints.
func (c *Cluster) Exec(ctx context.Context, namespace, pod string, command ...string) (string, error) {
	config, err := c.ShootConfig(ctx)
	if err != nil {
		return "", err
	}

	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs}

	rest, err := rest.RESTClientFor(config)
	if err != nil {
		return "", fmt.Errorf("exec in pod %s/%s: %w", namespace, pod, err)
	}

	request := rest.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)

	executor, err := remotecommand.NewWebSocketExecutor(config, "GET", request.URL().String())
	if err != nil {
		return "", fmt.Errorf("exec in pod %s/%s: %w", namespace, pod, err)
	}

	var stdout, stderr bytes.Buffer

	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		return stdout.String(), fmt.Errorf("%s in pod %s/%s: %w: %s", command[0], namespace, pod, err, strings.TrimSpace(stderr.String()))
	}

	return stdout.String(), nil
}

// ExecOutside runs a program on the host outside and gives what it prints.
func (c *Cluster) ExecOutside(ctx context.Context, command ...string) (string, error) {
	return c.machine.Host(OutsideName).Run(ctx, command[0], command[1:]...)
}

// OutsideAddress is the address of the host outside.
func (c *Cluster) OutsideAddress() netip.Addr { return c.machine.OutsideAddress() }
