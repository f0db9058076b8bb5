// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins Gardener's own programs that the local landscape and the integration tests run. Its requirements
// are those of the product's go.mod, so that both share what the compiler has cached; a test of
// test/landscape/build compares them.
package tools

import (
	_ "github.com/gardener/gardener/cmd/gardener-apiserver"
	_ "github.com/gardener/gardener/cmd/gardener-resource-manager"
)
