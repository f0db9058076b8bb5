// SPDX-FileCopyrightText: SAP SE or an SAP affiliate company and Gardener contributors
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images without a container engine and without a registry: layers from programs that
// were built and from files of the machine, written as a docker archive that containerd imports. The same inputs give
// the same bytes.
package image

// Names of images that others ask for by exactly these names.
const (
	// Pause is the sandbox of every pod.
	Pause = "registry.k8s.io/pause:3.10.2"
	// CoreDNS of both clusters.
	CoreDNS = "registry.k8s.io/coredns/coredns:landscape"
	// Agnhost is the image of nearly all of upstream's end-to-end tests, and of the demo's pods.
	Agnhost = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
	// GardenerAPIServer and GardenerResourceManager are Gardener's own programs.
	GardenerAPIServer       = "europe-docker.pkg.dev/gardener-project/releases/gardener/apiserver:v1.150.0"
	GardenerResourceManager = "europe-docker.pkg.dev/gardener-project/releases/gardener/resource-manager:v1.150.0"
)
