// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package charts tests what the charts render where it matters: on a real kube-apiserver, and against the programs' own flags.
package charts

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gardener/gardener/pkg/chartrenderer"
	gardenerkubernetes "github.com/gardener/gardener/pkg/client/kubernetes"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const (
	extensionNamespace = "extension-networking-ipv6-abcde"
	extensionUser      = "system:serviceaccount:" + extensionNamespace + ":gardener-extension-networking-ipv6"
	admissionNamespace = "garden"
	admissionUser      = "system:serviceaccount:" + admissionNamespace + ":gardener-extension-admission-ipv6"
	virtualUser        = "system:serviceaccount:kube-system:extension-admission-ipv6"
	shootNamespace     = "shoot--dev--one"
	ipamNamespace      = "ipam"
)

func render(t *testing.T, path, namespace string, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	rendered, err := chartrenderer.NewWithServerVersion(&version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"}).
		RenderEmbeddedFS(charts.FS, path, "networking-ipv6", namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, manifest := range rendered.Manifests {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(manifest.Content), object); err != nil {
			t.Fatalf("%s: %v", manifest.Name, err)
		}
		objects = append(objects, object)
	}
	return objects
}

// install creates the objects and has the API server reject every field that it does not know.
func install(t *testing.T, c client.Client, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, object := range objects {
		if err := client.WithFieldValidation(c, metav1.FieldValidationStrict).Create(context.Background(), object); err != nil {
			t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

func TestChartsInstall(t *testing.T) {
	env := envtest.Start(t, envtest.WithScheme(gardenerkubernetes.AddSeedSchemeToScheme), envtest.WithGardenerCRDs(), envtest.WithMonitoringCRDs())
	for _, name := range []string{extensionNamespace, admissionNamespace, ipamNamespace} {
		if err := env.Client.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	noVPA := map[string]any{"enabled": false} // its definition is none of a bare API server's
	install(t, env.Client, render(t, charts.ExtensionPath, extensionNamespace, map[string]any{
		"vpa": noVPA, "imageVectorOverwrite": map[string]any{"images": []any{}},
		"config": map[string]any{"backends": []any{
			map[string]any{"name": "metal", "type": "clusterapi", "namespace": ipamNamespace, "pools": []any{
				map[string]any{"name": "rack", "id": "InClusterPrefixPool/rack"}, map[string]any{"name": "site", "id": "GlobalInClusterPrefixPool/site"},
			}},
			map[string]any{"name": "iron", "type": "ironcore", "namespace": ipamNamespace, "pools": []any{map[string]any{"name": "public", "id": "parent"}}},
		}},
		"secrets": map[string]any{"account": map[string]any{"key": "text"}},
	}))
	install(t, env.Client, render(t, charts.AdmissionRuntimePath, admissionNamespace, map[string]any{"vpa": noVPA, "kubeconfig": "text"}))
	install(t, env.Client, render(t, charts.AdmissionApplicationPath, admissionNamespace, map[string]any{
		"gardener": map[string]any{"virtualCluster": map[string]any{"enabled": false}},
	}))
	if t.Failed() {
		return
	}

	t.Run("permissions", func(t *testing.T) { testPermissions(t, env.Client) })
}

// access is one thing that somebody may or may not do.
type access struct {
	user, verb, group, resource, subresource, namespace, name string
}

func testPermissions(t *testing.T, c client.Client) {
	const (
		extensions = "extensions.gardener.cloud"
		own        = "ipv6.networking.extensions.gardener.cloud"
		webhooks   = "admissionregistration.k8s.io"
		leases     = "coordination.k8s.io"
		clusterAPI = "ipam.cluster.x-k8s.io"
		ironCore   = "ipam.ironcore.dev"
	)
	allowed := []access{
		{extensionUser, "patch", extensions, "networks", "status", shootNamespace, "one"},
		{extensionUser, "patch", extensions, "infrastructures", "status", shootNamespace, "one"},
		{extensionUser, "watch", extensions, "infrastructures", "", "", ""},
		{extensionUser, "list", extensions, "clusters", "", "", ""},
		{extensionUser, "create", own, "prefixreservations", "", shootNamespace, ""},
		{extensionUser, "update", own, "prefixreservations", "status", extensionNamespace, "one"},
		{extensionUser, "create", "resources.gardener.cloud", "managedresources", "", shootNamespace, ""},
		{extensionUser, "create", "apps", "deployments", "", shootNamespace, ""},
		{extensionUser, "get", "", "secrets", "", shootNamespace, "shoot-access"},
		{extensionUser, "list", "", "secrets", "", extensionNamespace, ""},
		{extensionUser, "list", "", "configmaps", "", extensionNamespace, ""},
		{extensionUser, "patch", "", "secrets", "", shootNamespace, "cloudprovider"},
		{extensionUser, "get", "", "secrets", "", extensionNamespace, "account"},
		{extensionUser, "create", clusterAPI, "ipaddressclaims", "", ipamNamespace, ""},
		{extensionUser, "create", clusterAPI, "ipaddresses", "", ipamNamespace, ""},
		{extensionUser, "get", clusterAPI, "inclusterprefixpools", "", ipamNamespace, "rack"},
		{extensionUser, "get", clusterAPI, "globalinclusterprefixpools", "", "", "site"},
		{extensionUser, "list", clusterAPI, "ipaddresses", "", "", ""},
		{extensionUser, "delete", ironCore, "prefixes", "", ipamNamespace, "one"},
		{extensionUser, "patch", webhooks, "mutatingwebhookconfigurations", "", "", "gardener-extension-networking-ipv6"},
		{extensionUser, "update", leases, "leases", "", extensionNamespace, "gardener-extension-heartbeat"},
		{extensionUser, "update", leases, "leases", "", extensionNamespace, "gardener-extension-networking-ipv6-leader-election"},

		{admissionUser, "list", "", "secrets", "", admissionNamespace, ""},
		{admissionUser, "update", leases, "leases", "", admissionNamespace, "gardener-extension-admission-ipv6-leader-election"},
		{admissionUser, "watch", "core.gardener.cloud", "seeds", "", "", ""},
		{admissionUser, "patch", webhooks, "validatingwebhookconfigurations", "", "", "gardener-extension-admission-ipv6"},
		{admissionUser, "create", webhooks, "mutatingwebhookconfigurations", "", "", ""},
	}
	denied := []access{
		{extensionUser, "list", "", "secrets", "", "", ""},
		{extensionUser, "list", "", "secrets", "", shootNamespace, ""},
		{extensionUser, "list", "", "configmaps", "", shootNamespace, ""},
		{extensionUser, "update", extensions, "infrastructures", "", shootNamespace, "one"},
		{extensionUser, "update", extensions, "clusters", "", "", "one"},
		{extensionUser, "patch", webhooks, "mutatingwebhookconfigurations", "", "", "gardener-extension-provider-aws"},
		{extensionUser, "update", leases, "leases", "", extensionNamespace, "another"},
		{extensionUser, "create", "rbac.authorization.k8s.io", "clusterroles", "", "", ""},
		{extensionUser, "create", "", "pods", "", shootNamespace, ""},
		{extensionUser, "create", clusterAPI, "ipaddressclaims", "", shootNamespace, ""},
		{extensionUser, "patch", clusterAPI, "ipaddresses", "", ipamNamespace, "one"},
		{extensionUser, "get", clusterAPI, "inclusterprefixpools", "", ipamNamespace, "another"},
		{extensionUser, "update", clusterAPI, "globalinclusterprefixpools", "", "", "site"},
		{extensionUser, "list", ironCore, "prefixes", "", "", ""},
		{extensionUser, "get", "", "nodes", "", "", "one"},

		{admissionUser, "list", "", "secrets", "", extensionNamespace, ""},
		{admissionUser, "get", "core.gardener.cloud", "shoots", "", "garden-dev", "one"},
		{admissionUser, "patch", webhooks, "validatingwebhookconfigurations", "", "", "gardener-extension-admission-aws"},
		{admissionUser, "get", "", "secrets", "", "garden-dev", "one"},
		{virtualUser, "watch", "core.gardener.cloud", "seeds", "", "", ""}, // garden and runtime are one here
	}

	may := func(g Gomega, a access) bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: a.user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: a.verb, Group: a.group, Version: "*", Resource: a.resource, Subresource: a.subresource, Namespace: a.namespace, Name: a.name,
			},
		}}
		g.Expect(c.Create(context.Background(), review)).To(Succeed())
		return review.Status.Allowed
	}
	g := NewWithT(t)
	// The authorizer learns of new rules by a watch: wait for one of each role before the rest is asked about.
	for _, a := range allowed {
		g.Eventually(func(g Gomega) { g.Expect(may(g, a)).To(BeTrue()) }).Should(Succeed(), "%+v should be allowed", a)
	}
	for _, a := range denied {
		g.Expect(may(g, a)).To(BeFalse(), "%+v should be denied", a)
	}
}

// The programs must know every flag that the charts give them, or their pods never start.
func TestProgramsKnowTheChartsFlags(t *testing.T) {
	for path, program := range map[string]string{
		charts.ExtensionPath:        "gardener-extension-networking-ipv6",
		charts.AdmissionRuntimePath: "gardener-extension-admission-ipv6",
	} {
		t.Run(program, func(t *testing.T) {
			g := NewWithT(t)
			root, err := envtest.RepositoryRoot()
			g.Expect(err).NotTo(HaveOccurred())
			run := exec.Command("go", "run", "./"+filepath.Join("cmd", program), "--help")
			run.Dir = root
			help, err := run.CombinedOutput()
			g.Expect(err).NotTo(HaveOccurred(), string(help))

			all := map[string]any{
				"disableControllers": []any{"a"}, "disableWebhooks": []any{"a"},
				"gardener": map[string]any{
					"version": "v1.150.0", "selfHostedShootCluster": true,
					"virtualCluster": map[string]any{"namespace": "extension-networking-ipv6"},
				},
			}
			for _, flag := range flagsOf(t, render(t, path, extensionNamespace, all)) {
				g.Expect(string(help)).To(MatchRegexp(`(?m)^\s+` + flag + `\b`))
			}
		})
	}
}

func flagsOf(t *testing.T, objects []*unstructured.Unstructured) []string {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		deployment := &appsv1.Deployment{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, deployment); err != nil {
			t.Fatal(err)
		}
		var flags []string
		for _, arg := range deployment.Spec.Template.Spec.Containers[0].Args {
			name, _, _ := strings.Cut(arg, "=")
			flags = append(flags, name)
		}
		return flags
	}
	t.Fatal("no Deployment was rendered")
	return nil
}
