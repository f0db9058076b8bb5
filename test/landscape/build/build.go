// SPDX-FileCopyrightText: SAP SE or an SAP affiliate company and Gardener contributors
// SPDX-License-Identifier: Apache-2.0

// Package build compiles the programs of the landscape from their Go modules into a cache outside of the work tree.
package build

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheDir is where everything that outlives a landscape is kept: $XDG_CACHE_HOME/gardener-extension-networking-ipv6.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache directory: %w", err)
	}
	return filepath.Join(dir, "gardener-extension-networking-ipv6"), nil
}

// BinDir is where the programs are: CacheDir/bin.
func BinDir() (string, error) {
	dir, err := CacheDir()
	return filepath.Join(dir, "bin"), err
}
