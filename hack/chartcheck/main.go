// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command chartcheck does for every chart under charts/ what "helm lint" does, through helm's library, renders it with its own values, and
// finds values that no template reads. It takes warnings for errors.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const namespace = "extension-networking-ipv6-check"

func main() {
	dirs, err := charts("charts")
	if err == nil && len(dirs) == 0 {
		err = errors.New("no Chart.yaml under charts/: run it at the repository's root")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chartcheck:", err)
		os.Exit(2)
	}
	failed := false
	for _, dir := range dirs {
		for _, problem := range check(dir) {
			fmt.Fprintf(os.Stderr, "%s: %s\n", dir, problem)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// charts are the folders with a Chart.yaml.
func charts(root string) (dirs []string, err error) {
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "Chart.yaml" {
			dirs = append(dirs, filepath.Dir(p))
		}
		return err
	})
	return dirs, err
}

func check(dir string) (problems []string) {
	for _, m := range lint.RunAll(dir, nil, namespace).Messages {
		if m.Severity >= support.WarningSev {
			problems = append(problems, m.Error())
		}
	}
	c, err := loader.LoadDir(dir)
	if err != nil {
		return append(problems, err.Error())
	}
	rendered, err := render(c)
	if err != nil {
		return append(problems, fmt.Sprintf("does not render with its own values: %v", err))
	}
	return append(append(problems, objects(rendered)...), unread(c)...)
}

func render(c *chart.Chart) (map[string]string, error) {
	values, err := util.ToRenderValues(c, nil, common.ReleaseOptions{Name: c.Name(), Namespace: namespace, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(c, values)
}

// objects finds documents that are no Kubernetes objects, and objects that are there twice.
func objects(rendered map[string]string) (problems []string) {
	seen := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(rendered)) {
		if ext := path.Ext(file); ext != ".yaml" && ext != ".yml" {
			continue
		}
		reader := kyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(rendered[file])))
		for {
			doc, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", file, err))
				break
			}
			var o metav1.PartialObjectMetadata
			if err := yaml.Unmarshal(doc, &o); err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", file, err))
				continue
			}
			if len(bytes.TrimSpace(doc)) == 0 || o.Kind == "" && o.APIVersion == "" && o.Name == "" {
				continue // nothing but comments
			}
			if o.Kind == "" || o.APIVersion == "" || o.Name == "" {
				problems = append(problems, fmt.Sprintf("%s: an object lacks apiVersion, kind or name", file))
				continue
			}
			key := fmt.Sprintf("%s %s/%s", o.GroupVersionKind().GroupKind(), o.Namespace, o.Name)
			if first, ok := seen[key]; ok {
				problems = append(problems, fmt.Sprintf("%s: %s is in %s already", file, key, first))
			}
			seen[key] = file
		}
	}
	return problems
}

var reference = regexp.MustCompile(`\.Values((?:\.[A-Za-z0-9_]+)*)`)

// unread are values that no template names, neither themselves nor what they are a part of.
func unread(c *chart.Chart) (problems []string) {
	named := map[string]bool{}
	for _, t := range c.Templates {
		for _, m := range reference.FindAllStringSubmatch(string(t.Data), -1) {
			named[strings.TrimPrefix(m[1], ".")] = true
		}
	}
	if named[""] {
		return nil // .Values as a whole goes somewhere
	}
	var walk func(at string, values map[string]any)
	walk = func(at string, values map[string]any) {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			name := strings.TrimPrefix(at+"."+key, ".")
			table, ok := values[key].(map[string]any)
			switch {
			case named[name], name == "gardener":
				// What is under gardener is set by Gardener, which asks no chart what of it it needs.
			case ok && len(table) > 0:
				walk(name, table)
			default:
				problems = append(problems, "values.yaml: no template reads "+name)
			}
		}
	}
	walk("", c.Values)
	return problems
}
