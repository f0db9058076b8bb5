// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gardener/gardener/pkg/chartrenderer"
	gardenerkubernetes "github.com/gardener/gardener/pkg/client/kubernetes"
	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// kubernetesVersion that the charts are rendered for.
var kubernetesVersion = version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"}

const namespace = "extension-networking-ipv6-abcde"

// variants are the charts, each with no values at all and with every value that is there.
var variants = []struct {
	name, path, release, namespace string
	// values file in testdata, "" for none.
	values string
}{
	{"extension", charts.ExtensionPath, "networking-ipv6", namespace, ""},
	{"extension-all-values", charts.ExtensionPath, "networking-ipv6", namespace, "extension-values.yaml"},
	{"admission-runtime", charts.AdmissionRuntimePath, "networking-ipv6", "garden", ""},
	{"admission-runtime-all-values", charts.AdmissionRuntimePath, "networking-ipv6", "garden", "admission-runtime-values.yaml"},
	{"admission-application", charts.AdmissionApplicationPath, "networking-ipv6", "extension-networking-ipv6", ""},
	{"admission-application-all-values", charts.AdmissionApplicationPath, "networking-ipv6", "extension-networking-ipv6", "admission-application-values.yaml"},
}

func values(t *testing.T, file string) map[string]any {
	t.Helper()
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := yaml.UnmarshalStrict(data, &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}

// render renders as gardenlet and gardener-operator do.
func render(t *testing.T, path, release, namespace string, values map[string]any) *chartrenderer.RenderedChart {
	t.Helper()
	rendered, err := chartrenderer.NewWithServerVersion(&kubernetesVersion).RenderEmbeddedFS(charts.FS, path, release, namespace, values)
	if err != nil {
		t.Fatalf("rendering %s: %v", path, err)
	}
	return rendered
}

// decode reads the rendered objects as the API servers' types, without tolerance for what these do not know.
func decode(t *testing.T, rendered *chartrenderer.RenderedChart) []client.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(gardenerkubernetes.SeedScheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []client.Object
	for _, manifest := range rendered.Manifests {
		decoded, _, err := decoder.Decode([]byte(manifest.Content), nil, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", manifest.Name, err, manifest.Content)
		}
		object, ok := decoded.(client.Object)
		if !ok {
			t.Fatalf("%s: %T is no object", manifest.Name, decoded)
		}
		objects = append(objects, object)
	}
	return objects
}

func find[T client.Object](t *testing.T, objects []client.Object) T {
	t.Helper()
	for _, object := range objects {
		if found, ok := object.(T); ok {
			return found
		}
	}
	var none T
	t.Fatalf("no %T was rendered", none)
	return none
}

func TestChartsRenderAsBefore(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			rendered := render(t, v.path, v.release, v.namespace, values(t, v.values))
			decode(t, rendered)

			var got bytes.Buffer
			for _, manifest := range rendered.Manifests {
				fmt.Fprintf(&got, "---\n# Source: %s\n%s\n", manifest.Name, bytes.TrimSpace([]byte(manifest.Content)))
			}
			// The version changes with every release, the golden files should not.
			text := strings.ReplaceAll(got.String(), repositoryVersion(t), "VERSION")
			golden := filepath.Join("testdata", v.name+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("rendered differently than %s (-want +got; go test ./charts -update, then look at the diff):\n%s", golden, diff)
			}
		})
	}
}

func TestChartsPassLint(t *testing.T) {
	kubernetes := &common.KubeVersion{Version: kubernetesVersion.GitVersion, Major: kubernetesVersion.Major, Minor: kubernetesVersion.Minor}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			g := NewWithT(t)
			for _, message := range lint.RunAll(v.path, values(t, v.values), v.namespace, lint.WithKubeVersion(kubernetes)).Messages {
				g.Expect(message.Severity).To(BeNumerically("<", support.WarningSev), message.Error())
			}
		})
	}
}
