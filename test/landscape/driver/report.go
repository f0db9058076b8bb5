// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

// Report gathers what the demo shows.
func (c *Cluster) Report(ctx context.Context) (show.Report, error) {
	_ = ctx

	return show.Report{Shoot: c.Shoot.Name}, nil
}
