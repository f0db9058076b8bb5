// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package dhcpv6

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// stateVersion of the file.
const stateVersion = 1

// state is what outlives the process: who we are to the servers, and what they have given.
type state struct {
	Version int `json:"version"`
	identity
	Lease *lease                `json:"lease,omitempty"`
	Lost  *nodesource.LostError `json:"lost,omitempty"`
}

// load the state from its file, or make a new identity if there is no file. An identity that changed by mistake costs the prefix, so a
// file that cannot be read is an error and not a reason to begin anew.
func load(path string, link *net.Interface) (state, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the agent's own file
	if errors.Is(err, fs.ErrNotExist) {
		s := state{Version: stateVersion, identity: newIdentity(link)}
		return s, s.save(path)
	}
	if err != nil {
		return state{}, fmt.Errorf("lease file: %w", err)
	}
	const remedy = "delete it to begin anew, most likely with another prefix"
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, fmt.Errorf("lease file %s cannot be read: %w: %s", path, err, remedy)
	}
	if s.Version != stateVersion {
		return state{}, fmt.Errorf("lease file %s has version %d: want %d: %s", path, s.Version, stateVersion, remedy)
	}
	if len(s.DUID) < 3 || s.Lease != nil && len(s.Lease.Prefixes) == 0 {
		return state{}, fmt.Errorf("lease file %s is incomplete: %s", path, remedy)
	}
	return s, nil
}

// newIdentity is made of the hardware address, so that a node that lost its file is known again.
func newIdentity(link *net.Interface) identity {
	id := identity{DUID: (&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: link.HardwareAddr}).ToBytes()}
	h := fnv.New32a()
	_, _ = h.Write([]byte("ipv6-agent " + link.Name))
	copy(id.IAID[:], h.Sum(nil))
	return id
}

// save the state so that a crash leaves the old file or the new one.
func (s state) save(path string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("lease file: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("lease file: %w", err)
	}
	return nil
}
