// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func chartDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	for name, text := range files {
		file := filepath.Join(dir, name)
		NewWithT(t).Expect(os.MkdirAll(filepath.Dir(file), 0o750)).To(Succeed())
		NewWithT(t).Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
	}
	return dir
}

const (
	chartYAML = "apiVersion: v2\nname: demo\nversion: 0.1.0\ndescription: A chart.\n"
	goodYAML  = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: demo\n  namespace: {{ .Release.Namespace }}\ndata:\n  a: {{ .Values.a.b | quote }}\n  c: {{ toJson .Values.c | quote }}\n"
)

func TestCheck(t *testing.T) {
	values := "a:\n  b: x\nc:\n  d: {e: f}\n"
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []any
	}{
		{"good", map[string]string{"Chart.yaml": chartYAML, "values.yaml": values, "templates/a.yaml": goodYAML}, nil},
		{"a value that nobody reads", map[string]string{"Chart.yaml": chartYAML, "values.yaml": values + "g: 1\n", "templates/a.yaml": goodYAML},
			[]any{"values.yaml: no template reads g"}},
		{"a value beside one that is read", map[string]string{"Chart.yaml": chartYAML, "values.yaml": "a: {b: x, z: y}\nc: {}\n", "templates/a.yaml": goodYAML},
			[]any{"values.yaml: no template reads a.z"}},
		{"what Gardener sets", map[string]string{"Chart.yaml": chartYAML, "values.yaml": values + "gardener: {seed: {}}\n", "templates/a.yaml": goodYAML}, nil},
		{"twice", map[string]string{"Chart.yaml": chartYAML, "values.yaml": values, "templates/a.yaml": goodYAML, "templates/b.yaml": goodYAML},
			[]any{"demo/templates/b.yaml: ConfigMap extension-networking-ipv6-check/demo is in demo/templates/a.yaml already"}},
		{"no version", map[string]string{"Chart.yaml": "apiVersion: v2\nname: demo\n", "values.yaml": values, "templates/a.yaml": goodYAML},
			[]any{ContainSubstring("version is required"), ContainSubstring("version")}},
		{"no object", map[string]string{"Chart.yaml": chartYAML, "values.yaml": values, "templates/a.yaml": goodYAML, "templates/b.yaml": "apiVersion: v1\nmetadata: {name: x}\n"},
			[]any{"demo/templates/b.yaml: an object lacks apiVersion, kind or name"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := check(chartDir(t, tc.files))
			if len(tc.want) == 0 {
				NewWithT(t).Expect(got).To(BeEmpty())
				return
			}
			NewWithT(t).Expect(got).To(ContainElements(tc.want...))
		})
	}
}
