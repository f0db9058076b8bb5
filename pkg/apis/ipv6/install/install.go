// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package install registers every version of the API group ipv6.networking.extensions.gardener.cloud in a scheme.
package install

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

var builder = runtime.NewSchemeBuilder(ipv6.AddToScheme, v1alpha1.AddToScheme, prefer)

// AddToScheme registers the internal types, the served versions and the order in which to prefer them.
var AddToScheme = builder.AddToScheme

func prefer(scheme *runtime.Scheme) error {
	return scheme.SetVersionPriority(v1alpha1.SchemeGroupVersion)
}
