// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins Cluster API's in-cluster IPAM provider, which the tests run beside a real kube-apiserver.
package tools

import (
	_ "sigs.k8s.io/cluster-api-ipam-provider-in-cluster"
)
