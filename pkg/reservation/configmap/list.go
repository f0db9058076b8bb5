// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configmap

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// listed is an entry of the first format: one list in JSON.
type listed struct {
	Prefix netip.Prefix `json:"prefix"`
	Owner  string       `json:"owner"`
	ID     string       `json:"id,omitempty"`
	Since  time.Time    `json:"since"`
}

func decodeList(text string) (*reservation.Ledger, error) {
	var list []listed
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	ledger := &reservation.Ledger{}
	for _, e := range list {
		owner, err := reservation.ParseOwner(e.Owner)
		if err != nil {
			return nil, fmt.Errorf("ledger entry %s: %w", e.Prefix, err)
		}
		if err := ledger.Add(reservation.Allocation{Owner: owner, ID: e.ID, Prefix: e.Prefix, Since: e.Since}); err != nil {
			return nil, fmt.Errorf("ledger entry of %s: %w", e.Owner, err)
		}
	}
	return ledger, nil
}
