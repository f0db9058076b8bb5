// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ipv6 holds the internal types of the API group ipv6.networking.extensions.gardener.cloud: the hub that every served
// version of the documents is converted to, so that a new version needs one conversion and not one a pair.
//
// PrefixReservation is not among them: it is served by an API server in the seed and read in its stored version.
//
// +k8s:deepcopy-gen=package
package ipv6
