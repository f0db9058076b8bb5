// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

// Network is the name of the CNI network.
const Network = "ipv6"

// conflist is the network's list: our plugin, then portmap for hostPorts. Runtimes whose CNI library is older than 1.2 read cniVersion,
// newer ones pick the highest of cniVersions that they know.
//
// portmap uses nftables, as kube-proxy does here: node images without iptables are common, without nft they are not.
func conflist(socket string) ([]byte, error) {
	out, err := json.MarshalIndent(map[string]any{
		"cniVersion":  "1.0.0",
		"cniVersions": []string{"1.0.0", "1.1.0"},
		"name":        Network,
		"plugins": []map[string]any{
			{"type": "ipv6-cni", "socket": socket},
			{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}, "backend": "nftables", "snat": true},
		},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("network list: %w", err)
	}
	return append(out, '\n'), nil
}

// writeConflist puts the list in place unless it is there.
func writeConflist(dir, socket string) (changed bool, err error) {
	want, err := conflist(socket)
	if err != nil {
		return false, err
	}
	path := filepath.Join(dir, agentconfig.ConflistName)
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) { //nolint:gosec // the path is our own
		return false, nil
	}
	return true, place(path, want, 0o644)
}

// foreignNetwork returns the name of a list in the directory that the runtime reads before ours.
func foreignNetwork(dir string) (string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return "", fmt.Errorf("network lists: %w", err)
	}
	for _, e := range entries {
		switch ext := filepath.Ext(e.Name()); {
		case e.Name() >= agentconfig.ConflistName:
			return "", nil
		case ext == ".conflist", ext == ".conf", ext == ".json":
			return e.Name(), nil
		}
	}
	return "", nil
}

// install copies the plugins to where the runtime looks for them. A plugin that is in use cannot be written to (ETXTBSY) but can be
// replaced by renaming; what is right already stays.
func install(from, to string) error {
	var errs []error
	for _, name := range agentconfig.Plugins() {
		want, err := os.ReadFile(filepath.Join(from, name)) //nolint:gosec // the image's own directory
		if err != nil {
			errs = append(errs, fmt.Errorf("install plugin: %w", err))
			continue
		}
		path := filepath.Join(to, name)
		if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) { //nolint:gosec // the path is our own
			if info, err := os.Stat(path); err == nil && info.Mode().Perm() == 0o755 {
				continue
			}
		}
		if err := place(path, want, 0o755); err != nil {
			errs = append(errs, fmt.Errorf("install plugin: %w", err))
		}
	}
	return errors.Join(errs...)
}

// place writes a file beside and renames it. The name beside has no ending that a runtime would read, and is always the same, so that
// agents that were killed here leave no more than one; the address store's lock keeps a second agent away.
func place(path string, data []byte, mode fs.FileMode) (err error) {
	beside := path + ".tmp"
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the path is our own
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(beside))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(beside, path)
}
