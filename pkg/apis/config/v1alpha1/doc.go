// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the served version of the component configuration of gardener-extension-networking-ipv6, API group
// ipv6.networking.extensions.config.gardener.cloud.
//
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config
// +k8s:defaulter-gen=TypeMeta
// +groupName=ipv6.networking.extensions.config.gardener.cloud
package v1alpha1
