// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package config holds the internal types of the component configuration, API group
// ipv6.networking.extensions.config.gardener.cloud: the hub that every served version is converted to.
//
// +k8s:deepcopy-gen=package
package config
