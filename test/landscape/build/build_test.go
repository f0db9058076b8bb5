// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package build_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
)

// workshop is a repository of one module with one program, and a builder for it.
type workshop struct {
	*build.Builder
	g   Gomega
	log struct {
		sync.Mutex
		lines []string
	}
}

func newWorkshop(t *testing.T) *workshop {
	w := &workshop{g: NewWithT(t)}
	w.Builder = &build.Builder{Root: t.TempDir(), Bin: t.TempDir(), Logf: func(format string, args ...any) {
		w.log.Lock()
		defer w.log.Unlock()
		w.log.lines = append(w.log.lines, fmt.Sprintf(format, args...))
	}}
	w.write("tool/go.mod", "module example.org/tool\n\ngo 1.26\n")
	w.write("tool/go.sum", "")
	w.write("tool/main.go", "package main\n\nfunc main() { println(\"first\") }\n")
	return w
}

func (w *workshop) write(path, content string) {
	path = filepath.Join(w.Root, path)
	w.g.Expect(os.MkdirAll(filepath.Dir(path), 0o750)).To(Succeed())
	w.g.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
}

// build builds the program and gives what was logged.
func (w *workshop) build(p build.Program) (string, error) {
	w.log.lines = nil
	err := w.Build(context.Background(), []build.Program{p})
	return strings.Join(w.log.lines, "\n"), err
}

var tool = build.Program{Name: "sub/tool", Module: "tool", Package: "."}

func TestProgramIsBuiltOnceAndAgainWhenSomethingChanged(t *testing.T) {
	w := newWorkshop(t)
	log, err := w.build(tool)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(log).To(MatchRegexp(`^build: \[ 1/1\] sub/tool +\d+\.\ds`))
	w.g.Expect(w.run()).To(Equal("first\n"))

	log, err = w.build(tool)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(log).To(Equal("build: 1 programs are in " + w.Bin + " already"))

	w.write("tool/main.go", "package main\n\nfunc main() { println(\"second\") }\n")
	log, err = w.build(tool)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(log).To(ContainSubstring("[ 1/1] sub/tool"), "a source of the module changed")
	w.g.Expect(w.run()).To(Equal("second\n"))

	w.write("tool/go.mod", "module example.org/tool\n\ngo 1.26.0\n")
	log, err = w.build(tool)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(log).To(ContainSubstring("[ 1/1] sub/tool"), "go.mod changed")

	flags := tool
	flags.LDFlags = "-s -w"
	log, err = w.build(flags)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(log).To(ContainSubstring("[ 1/1] sub/tool"), "the linker's flags changed")

	w.g.Expect(os.Remove(filepath.Join(w.Bin, "sub", "tool"))).To(Succeed())
	log, err = w.build(flags)
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Expect(log).To(ContainSubstring("[ 1/1] sub/tool"), "the program is gone")
}

func (w *workshop) run() (string, error) {
	out, err := exec.Command(filepath.Join(w.Bin, "sub", "tool")).CombinedOutput() // #nosec G204 -- built a moment ago
	return string(out), err
}

func TestCompilersErrorIsShown(t *testing.T) {
	w := newWorkshop(t)
	w.write("tool/main.go", "package main\n\nfunc main() { undefinedFunction() }\n")
	_, err := w.build(tool)
	w.g.Expect(err).To(MatchError(And(ContainSubstring("building sub/tool in tool"), ContainSubstring("undefined: undefinedFunction"))))
	log, err := w.build(tool)
	w.g.Expect(err).To(HaveOccurred(), "a failure leaves no stamp")
	w.g.Expect(log).NotTo(ContainSubstring("already"))
}

func TestGardenersModuleHasTheProductsVersions(t *testing.T) {
	g := NewWithT(t)
	root, err := build.Root()
	g.Expect(err).NotTo(HaveOccurred())
	product := versions(g, filepath.Join(root, "go.mod"))
	var different []string
	for module, version := range versions(g, filepath.Join(root, "hack", "tools", "gardener", "go.mod")) {
		if have, ok := product[module]; ok && have != version {
			different = append(different, fmt.Sprintf("%s: %s here, %s in the product's go.mod", module, version, have))
		}
	}
	g.Expect(different).To(BeEmpty(), "hack/tools/gardener would be compiled all anew; copy the product's versions and run go mod tidy there")
	g.Expect(product["github.com/gardener/gardener"]).To(Equal(build.GardenerVersion))
	g.Expect(versions(g, filepath.Join(root, "hack", "tools", "kubernetes", "go.mod"))["k8s.io/kubernetes"]).To(Equal(build.KubernetesVersion))
}

var requirement = regexp.MustCompile(`(?m)^(?:require )?\t?(\S+) (v\S+)`)

func versions(g Gomega, path string) map[string]string {
	text, err := os.ReadFile(path) // #nosec G304 -- a file of the repository
	g.Expect(err).NotTo(HaveOccurred())
	found := map[string]string{}
	for _, match := range requirement.FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = match[2]
	}
	return found
}

func TestSets(t *testing.T) {
	g := NewWithT(t)
	root, err := build.Root()
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"binaries", "landscape", "own", "e2e", "all"} {
		programs, err := build.Set(root, name)
		g.Expect(err).NotTo(HaveOccurred())
		seen := map[string]bool{}
		for _, p := range programs {
			g.Expect(seen).NotTo(HaveKey(p.Name), "%s is in %s twice", p.Name, name)
			seen[p.Name] = true
			g.Expect(filepath.Join(root, p.Module, "go.mod")).To(BeAnExistingFile())
		}
	}
	_, err = build.Set(root, "everything")
	g.Expect(err).To(MatchError(`"everything" is none of binaries, landscape, own, e2e, all`))
}
