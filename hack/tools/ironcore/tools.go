// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins IronCore's API server and controller manager, which the tests run beside a real kube-apiserver.
package tools

import (
	_ "github.com/ironcore-dev/ironcore/cmd/ironcore-apiserver"
	_ "github.com/ironcore-dev/ironcore/cmd/ironcore-controller-manager"
)
