// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// tombstone looks at one tombstone.
func (c controller) tombstone(key string) {
	tomb, err := c.get(key)
	if err != nil || tomb.deleted {
		return
	}
	if tomb.record.Phase != quarantined {
		if c.now.Sub(tomb.created) >= grace {
			c.note(c.drop(&tomb))
		}
		return
	}
	var heirs []reservation.Phase
	for _, o := range c.list() {
		if o.namespace != tombs && o.owner == tomb.owner && o.finalizer && !o.moved {
			heirs = append(heirs, o.record.Phase)
		}
	}
	until := tomb.until
	if tomb.endless {
		until = time.Time{}
	}
	switch what := reservation.Judge(c.now, until, heirs...); what {
	case reservation.Stay:
		if !tomb.endless {
			return
		}
		if needed, err := c.protocol(&tomb).Needed(context.Background(), tomb.record); needed || err != nil {
			return
		}
		c.tracef("%s: nothing is left to keep", c.name)
		c.note(c.drop(&tomb))
		return
	case reservation.Vanish:
		c.tracef("%s: the owner is back: %v", c.name, heirs)
		c.note(c.drop(&tomb))
		return
	case reservation.End:
	}
	if err := c.protocol(&tomb).FinishRelease(context.Background(), tomb.record); err != nil {
		c.note(err)
		return
	}
	c.note(c.drop(&tomb))
}

// sweep once for garbage.
func (c controller) sweep(dry bool) {
	m := &c.proc.memory
	if m.sweeper == nil {
		m.sweeper = &reservation.Sweeper{Home: reservation.Home{GardenID: gardenID, Seed: c.proc.seed.name}, Grace: grace}
	}
	m.sweeper.Now = func() time.Time { return c.now }
	dry = dry || c.proc.seed.careful
	m.sweeper.DryRun, c.dry, c.sweeping = dry, dry, true
	m.sweeps++
	c.sweeps = m.sweeps
	report, err := m.sweeper.Sweep(context.Background(), []reservation.Reserver{c.reserver()}, c.wanted)
	c.stats.freed += len(report.Freed)
	c.note(err)
}

func (c controller) wanted(context.Context) (map[reservation.Owner]bool, error) {
	// There is another shoot on the seed, which has nothing to do with all this: of an empty seed nothing is collected.
	wanted := map[reservation.Owner]bool{{GardenID: gardenID, ShootUID: "witness", Range: "nodes-ipv6"}: true}
	var err error
	c.io(func() {
		if c.happens(apiRequestLost) {
			err = errTimeout
			return
		}
		if c.happens(apiForgot) {
			clear(wanted)
			return
		}
		for _, o := range c.proc.seed.objects {
			owner := o.owner
			if o.record.Phase == reservation.Bound || o.record.Phase == quarantined {
				owner.Attempt = o.record.Attempt
			}
			wanted[owner] = true
		}
	})
	return wanted, err
}
