// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package charts embeds what the programs and the tests need of the Helm charts: the image vector of the containers that the
// extension deploys, the definition of PrefixReservation, and the charts themselves.
package charts

import (
	"embed"
)

// ImagesYAML is the image vector of the containers that the extension deploys into shoots and their control planes.
//
//go:embed images.yaml
var ImagesYAML string

// Names of the images in the image vector.
const (
	ImageIPAMController = "ipv6-ipam-controller"
	ImageAgent          = "ipv6-agent"
)

// PrefixReservationCRD is the CustomResourceDefinition of PrefixReservation, generated from pkg/apis. The chart of the extension
// is its only home.
//
//go:embed gardener-extension-networking-ipv6/templates/crds/ipv6.networking.extensions.gardener.cloud_prefixreservations.yaml
var PrefixReservationCRD []byte

// FS holds the charts: the extension's, and the admission's two, which are installed into different clusters.
//
//go:embed all:gardener-extension-networking-ipv6 all:gardener-extension-admission-ipv6
var FS embed.FS

// Paths of the charts in FS.
const (
	ExtensionPath            = "gardener-extension-networking-ipv6"
	AdmissionRuntimePath     = "gardener-extension-admission-ipv6/charts/runtime"
	AdmissionApplicationPath = "gardener-extension-admission-ipv6/charts/application"
)
