// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images without a container engine and without a registry: layers from programs that
// were built and from files of the machine, written as docker archives that containerd imports. The same inputs give
// the same bytes.
package image

// Repository is where the project's images are published.
const Repository = "ghcr.io/gardener/gardener-extension-networking-ipv6"

// Names of images that others ask for by exactly these names.
const (
	// Pause is the sandbox of every pod.
	Pause = "registry.k8s.io/pause:3.10.2"
	// CoreDNS of both clusters.
	CoreDNS = "registry.k8s.io/coredns/coredns:landscape"
	// Agnhost is the image of nearly all of upstream's end-to-end tests, and of the demo's pods.
	Agnhost = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
)

// agnhostNames are the versions that upstream's end-to-end tests ask for; they are the same program here.
var agnhostNames = []string{Agnhost, "registry.k8s.io/e2e-test-images/agnhost:2.55"}

// controlPlaneImages are the images of a control plane, by program.
var controlPlaneImages = map[string]string{
	"kube-apiserver":            "registry.k8s.io/kube-apiserver:v1.36.3",
	"kube-controller-manager":   "registry.k8s.io/kube-controller-manager:v1.36.3",
	"kube-scheduler":            "registry.k8s.io/kube-scheduler:v1.36.3",
	"etcd":                      "registry.k8s.io/etcd:3.6.8-0",
	"gardener-apiserver":        "europe-docker.pkg.dev/gardener-project/releases/gardener/apiserver:v1.150.0",
	"gardener-resource-manager": "europe-docker.pkg.dev/gardener-project/releases/gardener/resource-manager:v1.150.0",
}
