// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// manifest is a Shoot as an owner writes it: with the keywords in the spec, in the providerConfig, in both, and with no range at all.
func manifest(name, ranges string) string {
	return `apiVersion: core.gardener.cloud/v1beta1
kind: Shoot
metadata:
  name: ` + name + `
  namespace: ` + namespace + `
spec:
  cloudProfile: {kind: CloudProfile, name: local}
  credentialsBindingName: account
  region: here
  kubernetes: {version: 1.35.4}
  maintenance: {timeWindow: {begin: 220000+0100, end: 230000+0100}}
  networking:
    type: ipv6
` + ranges + `
  provider:
    type: local
    workers:
    - {name: pool, minimum: 1, maximum: 3, machine: {type: small, image: {name: image, version: 1.0.0}}}
`
}

const (
	inSpec = `    nodes: v6global/64+prefix/96
    pods: v6fromNode
    services: globalIPv6/64`
	inConfig = `    providerConfig:
      apiVersion: ipv6.networking.extensions.gardener.cloud/v1alpha1
      kind: NetworkConfig
      ranges: {nodes: v6global/64+prefix/96, pods: v6fromNode, services: v6global/64}`
	inBoth  = inSpec + "\n" + inConfig
	nowhere = ""
)

const storedConfig = header + `,"ranges":{"nodes":"v6global/64+prefix/96","pods":"v6fromNode","services":"v6global/64"}}`

// kubectl runs the real one.
func kubectl(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, "kubectl"), append([]string{"--kubeconfig=" + kubeconfig}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func get(t *testing.T, name string) *gardencorev1beta1.Shoot {
	t.Helper()
	shoot := &gardencorev1beta1.Shoot{}
	NewWithT(t).Expect(garden.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, shoot)).To(Succeed())
	return shoot
}

// pin does what gardenlet does when the Infrastructure is ready.
func pin(t *testing.T, name, nodes string) {
	t.Helper()
	shoot := get(t, name)
	if shoot.Spec.Networking.Nodes != nil {
		return
	}
	patch := client.MergeFromWithOptions(shoot.DeepCopy(), client.MergeFromWithOptimisticLock{})
	shoot.Spec.Networking.Nodes = &nodes
	NewWithT(t).Expect(garden.Patch(context.Background(), shoot, patch)).To(Succeed())
	patch = client.MergeFrom(shoot.DeepCopy())
	shoot.Status.Networking = &gardencorev1beta1.NetworkingStatus{Nodes: []string{nodes}, Pods: []string{nodes}, Services: []string{"2001:db8:5::/112"}}
	NewWithT(t).Expect(garden.Status().Patch(context.Background(), shoot, patch)).To(Succeed())
}

// TestApplyAgain creates a Shoot in every way there is and then sends the same manifest again in every way there is, before and
// after gardenlet pinned the nodes range: nothing may change, and the generation shows that nothing did.
func TestApplyAgain(t *testing.T) {
	ways := map[string]func(t *testing.T, name, ranges string) (string, error){
		"kubectl-apply": func(t *testing.T, name, ranges string) (string, error) {
			return kubectl(t, manifest(name, ranges), "apply", "-f", "-")
		},
		"server-side-apply": func(t *testing.T, name, ranges string) (string, error) {
			return kubectl(t, manifest(name, ranges), "apply", "--server-side", "--force-conflicts", "-f", "-")
		},
		"replace": func(t *testing.T, name, ranges string) (string, error) {
			shoot := &gardencorev1beta1.Shoot{}
			if err := garden.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, shoot); err != nil {
				return kubectl(t, manifest(name, ranges), "create", "-f", "-")
			}
			return kubectl(t, strings.Replace(manifest(name, ranges), "metadata:\n", "metadata:\n  resourceVersion: \""+shoot.ResourceVersion+"\"\n", 1), "replace", "-f", "-")
		},
	}
	for way, send := range ways {
		for form, ranges := range map[string]string{"spec": inSpec, "config": inConfig, "both": inBoth} {
			t.Run(way+"-"+form, func(t *testing.T) {
				g := NewWithT(t)
				name := strings.ToLower(strings.NewReplacer("kubectl-apply", "ka", "server-side-apply", "ssa", "replace", "r").Replace(way)) + form[:2]
				out, err := send(t, name, ranges)
				g.Expect(err).NotTo(HaveOccurred(), out)
				first := get(t, name)
				want := outcome{IPFamilies: v6, Config: storedConfig, Mask: 100}.sorted()
				g.Expect(outcomeOf(first)).To(Equal(want))

				again := func(ranges string) {
					t.Helper()
					before := get(t, name)
					out, err := send(t, name, ranges)
					g.Expect(err).NotTo(HaveOccurred(), out)
					after := get(t, name)
					g.Expect(outcomeOf(after)).To(Equal(want))
					g.Expect(after.Spec.Networking).To(Equal(before.Spec.Networking))
					g.Expect(after.Spec.Kubernetes.KubeControllerManager).To(Equal(before.Spec.Kubernetes.KubeControllerManager))
					if way != "replace" { // which takes away what Gardener fills in on creation only, such as autoRotation
						g.Expect(cmp.Diff(before.Spec, after.Spec)).To(BeEmpty())
						g.Expect(after.Generation).To(Equal(before.Generation), "the spec changed")
					}
				}
				again(ranges)
				pin(t, name, "2001:db8:7::/64")
				want.Nodes = "2001:db8:7::/64"
				g.Expect(outcomeOf(get(t, name))).To(Equal(want))
				again(ranges)
				again(nowhere)
				again(inSpec)
				again(inConfig)
			})
		}
	}
}
