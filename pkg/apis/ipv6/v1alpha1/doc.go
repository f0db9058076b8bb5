// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the served version of the API group ipv6.networking.extensions.gardener.cloud: what Shoot owners write
// (NetworkConfig), what they are told (NetworkStatus), what survives a control-plane migration (NetworkState), and the
// reservations of prefixes in the seed (PrefixReservation).
//
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6
// +k8s:defaulter-gen=TypeMeta
// +groupName=ipv6.networking.extensions.gardener.cloud
package v1alpha1
