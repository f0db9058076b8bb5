// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package build

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Versions of what is built from other projects' modules; the modules' go.mod files hold the same.
const (
	KubernetesVersion = "v1.36.3"
	GardenerVersion   = "v1.150.0"
)

// Program is something to compile.
type Program struct {
	// Name is its file below the directory of programs, for example "cni/ptp".
	Name string
	// Module is the directory of the Go module to build from, below the repository's root. "." is the product's own.
	Module string
	// Package to build, as go build takes it.
	Package string
	// LDFlags are for the linker.
	LDFlags string
	// Tags for the compiler.
	Tags string
	// Test is set for a test binary (go test -c).
	Test bool
}

// own tells whether the program is made from the product's own sources, of which no stamp could tell whether they changed.
func (p Program) own() bool { return p.Module == "." }

const strip = "-s -w"

// clients refuse a server that says v0.0.0-master+$Format is its version
const kubernetesFlags = strip +
	" -X k8s.io/component-base/version.gitVersion=" + KubernetesVersion +
	" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36" +
	" -X k8s.io/client-go/pkg/version.gitVersion=" + KubernetesVersion

func kubernetes(name string) Program {
	return Program{Name: name, Module: "hack/tools/kubernetes", Package: "k8s.io/kubernetes/cmd/" + name, LDFlags: kubernetesFlags}
}

func gardener(name string) Program {
	return Program{Name: name, Module: "hack/tools/gardener", Package: "github.com/gardener/gardener/cmd/" + name,
		LDFlags: strip + " -X k8s.io/component-base/version.gitVersion=" + GardenerVersion}
}

func containerd(name string) Program {
	return Program{Name: name, Module: "hack/tools/containerd", Package: "github.com/containerd/containerd/v2/cmd/" + name,
		LDFlags: strip, Tags: "no_btrfs no_devmapper no_zfs no_aufs"}
}

func plugin(at string) Program {
	return Program{Name: "cni/" + path.Base(at), Module: "hack/tools/cniplugins",
		Package: "github.com/containernetworking/plugins/plugins/" + at, LDFlags: strip}
}

func etcd() Program {
	return Program{Name: "etcd", Module: "hack/tools/etcd", Package: "go.etcd.io/etcd/server/v3", LDFlags: strip}
}

// ipam are the servers of foreign IPAMs: Cluster API's in-cluster provider, IronCore's API server and its controllers.
func ipam() []Program {
	ironcore := func(name string) Program {
		return Program{Name: name, Module: "hack/tools/ironcore", Package: "github.com/ironcore-dev/ironcore/cmd/" + name, LDFlags: strip}
	}
	return []Program{
		{Name: "capi-ipam-in-cluster", Module: "hack/tools/capiipam", Package: "sigs.k8s.io/cluster-api-ipam-provider-in-cluster", LDFlags: strip},
		ironcore("ironcore-apiserver"), ironcore("ironcore-controller-manager"),
	}
}

// Plugins are the reference CNI plugins.
func Plugins() []Program {
	return []Program{plugin("main/ptp"), plugin("main/bridge"), plugin("main/loopback"), plugin("ipam/host-local"), plugin("meta/portmap")}
}

// Binaries are what the integration, IPAM and node tests run: real API servers, Kubernetes' garbage collector, foreign IPAMs, and
// the reference plugins.
func Binaries() []Program {
	programs := append([]Program{etcd(), kubernetes("kube-apiserver"), kubernetes("kube-controller-manager"), kubernetes("kubectl"),
		gardener("gardener-apiserver"), gardener("gardener-resource-manager")}, ipam()...)
	return append(programs, Plugins()...)
}

// Landscape are the programs that `make demo` runs, without the project's own. What others wait for comes first.
func Landscape() []Program {
	programs := []Program{etcd(), kubernetes("kube-apiserver"), kubernetes("kubelet"), containerd("containerd"),
		containerd("containerd-shim-runc-v2"), containerd("ctr"), kubernetes("kube-controller-manager"),
		kubernetes("kube-scheduler"), kubernetes("kube-proxy"), kubernetes("kubectl"),
		{Name: "coredns", Module: "hack/tools/coredns", Package: ".", LDFlags: strip},
		{Name: "agnhost", Module: "hack/tools/kubernetes", Package: "k8s.io/kubernetes/test/images/agnhost", LDFlags: kubernetesFlags},
	}
	programs = append(programs, Plugins()...)
	return append(programs, gardener("gardener-apiserver"), gardener("gardener-resource-manager"))
}

// E2E are upstream's end-to-end tests.
func E2E() []Program {
	return []Program{
		{Name: "e2e.test", Module: "hack/tools/kubernetes", Package: "k8s.io/kubernetes/test/e2e", LDFlags: kubernetesFlags, Test: true},
		{Name: "ginkgo", Module: "hack/tools/kubernetes", Package: "github.com/onsi/ginkgo/v2/ginkgo", LDFlags: strip},
	}
}

// Own are the project's programs: those below cmd, and the landscape's.
func Own(root string) ([]Program, error) {
	version, err := os.ReadFile(filepath.Join(root, "VERSION")) // #nosec G304 -- a file of the repository
	if err != nil {
		return nil, fmt.Errorf("the project's version: %w", err)
	}
	// the same as the Makefile's LD_FLAGS
	flags := strip + " -X k8s.io/component-base/version.gitVersion=" + strings.TrimSpace(string(version)) +
		" -X k8s.io/component-base/version/verflag.programName=gardener-extension-networking-ipv6"
	programs := []Program{
		{Name: "landscape-enter", Module: ".", Package: "./test/landscape/enter", LDFlags: strip},
		{Name: "landscape-metadata", Module: ".", Package: "./test/landscape/metadata", LDFlags: strip},
		{Name: "pause", Module: ".", Package: "./test/landscape/pause", LDFlags: strip},
	}
	// the same as the Makefile's TAGS
	tags := map[string]string{"ipv6-agent": "grpcnotrace"}
	entries, err := os.ReadDir(filepath.Join(root, "cmd"))
	if err != nil {
		return nil, fmt.Errorf("the project's programs: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			programs = append(programs, Program{Name: e.Name(), Module: ".", Package: "./cmd/" + e.Name(), LDFlags: flags, Tags: tags[e.Name()]})
		}
	}
	if _, err := os.Stat(filepath.Join(root, "test", "landscape", "main.go")); err == nil {
		programs = append(programs, Program{Name: "landscape", Module: ".", Package: "./test/landscape", LDFlags: strip})
	}
	return programs, nil
}

// Set gives the programs of a name: binaries, landscape (with the project's own), own, e2e, or all.
func Set(root, name string) ([]Program, error) {
	switch name {
	case "binaries":
		return Binaries(), nil
	case "own":
		return Own(root)
	case "e2e":
		return E2E(), nil
	case "landscape", "all":
		own, err := Own(root)
		programs := append(Landscape(), own...)
		if name == "all" {
			programs = append(programs, E2E()...)
		}
		return programs, err
	}
	return nil, fmt.Errorf("%q is none of binaries, landscape, own, e2e, all", name)
}
