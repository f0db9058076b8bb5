// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the extension as its users meet it: on a landscape with real programs (test/landscape), through the
// real gardener-apiserver, from the Shoot that somebody writes to the packets that its pods send.
//
// The tests have the build tag e2e and need root, because they bring the landscape up, or find it up. `make test-e2e` builds
// what they need and runs them. Each test, and each subtest but the deletion, can be run alone on a landscape that is up:
//
//	landscape e2e -run TestShootLife/pods
//
// The order matters to one thing only: TestShootLife deletes the Shoot at its end, and leaves a new one.
package e2e
