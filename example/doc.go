// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package example holds manifests for operators and Shoot owners, and the test that keeps them true.
package example
