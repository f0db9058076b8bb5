// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import "time"

// Rest is what to do with a tombstone.
type Rest string

// What can be done with a tombstone.
const (
	// Stay: its time is not over, or a reservation of the same owner has not got on yet.
	Stay Rest = "Stay"
	// Vanish: the owner is back and holds what it needs; the tombstone goes without a release.
	Vanish Rest = "Vanish"
	// End: what it stands for is given back, then it goes.
	End Rest = "End"
)

// Judge says what to do with a tombstone. Until is the end of its time; zero if it has none. Heirs are the phases of the living
// reservations of the same owner, of whatever attempt: of a shoot that moved away and came back, or of one whose reservation was
// deleted while its prefix was not bound yet. A reservation that is being let go is no heir.
//
// While an heir is not bound, it may be about to take over what the tombstone stands for. Once it is bound, that is either what it
// has bound, or garbage.
func Judge(now, until time.Time, heirs ...Phase) Rest {
	for _, phase := range heirs {
		if phase == Bound {
			return Vanish
		}
	}
	if len(heirs) > 0 || until.IsZero() || now.Before(until) {
		return Stay
	}
	return End
}
