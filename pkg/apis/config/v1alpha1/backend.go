// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"
)

// IsCloud tells whether it is a cloud's own IPAM, which a Shoot of the provider type of the same name has credentials for.
// The others are objects in a Kubernetes API server.
func (t BackendType) IsCloud() bool {
	switch t {
	case BackendOpenStack, BackendAWS, BackendGCP:
		return true
	}
	return false
}

// SubnetworkRegion is the region in the ID of a pool of type gcp, projects/<p>/regions/<r>/subnetworks/<s>; empty if there is
// none.
func (p *BackendPool) SubnetworkRegion() string {
	parts := strings.Split(p.ID, "/")
	if len(parts) != 6 || parts[2] != "regions" {
		return ""
	}
	return parts[3]
}
