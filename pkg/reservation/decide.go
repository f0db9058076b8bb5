// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

// Facts are what is known of a shoot on a seed, read live.
type Facts struct {
	// Infrastructure is there; it is being migrated, or deleted.
	Infrastructure, InfrastructureMigrates, InfrastructureDeleted bool
	// Cluster is there; its Shoot is being migrated, or deleted.
	Cluster, ShootMigrates, ShootDeleted bool
	// NamespaceDeleted is true if the shoot's namespace is being deleted.
	NamespaceDeleted bool
}

// Action is what to do with the reservations of a shoot.
type Action string

// The actions.
const (
	Ensure  Action = "Ensure"  // reserve what is missing
	Keep    Action = "Keep"    // touch nothing; of one that is bound: verify that it is held
	Restore Action = "Restore" // bind what is published already, nothing else
	Release Action = "Release" // give everything back
	Migrate Action = "Migrate" // let go without giving back: another seed takes over
)

// Decide says what to do, and why. Whenever it is not certain that nobody uses the prefixes any more, they are kept.
func Decide(f Facts) (Action, string) {
	switch {
	case f.Infrastructure && f.InfrastructureMigrates:
		return Migrate, "the Infrastructure is being migrated"
	case f.Infrastructure && f.InfrastructureDeleted:
		return Keep, "the Infrastructure is being deleted and may still use the prefixes"
	case f.Infrastructure && !f.Cluster:
		return Keep, "there is no Cluster yet"
	case f.Infrastructure && f.NamespaceDeleted:
		return Keep, "the namespace is being deleted, but the Infrastructure is still there"
	case f.Infrastructure:
		return Ensure, "there is an Infrastructure"
	case f.NamespaceDeleted && !f.ShootMigrates:
		return Release, "the namespace is being deleted and the Infrastructure is gone"
	case !f.Cluster:
		return Release, "Infrastructure and Cluster are gone"
	case f.ShootMigrates:
		return Migrate, "the Shoot is being migrated"
	case f.ShootDeleted:
		return Release, "the Shoot is being deleted and the Infrastructure is gone"
	default:
		return Keep, "there is no Infrastructure, but the Shoot lives"
	}
}

// DecideOne says how one reservation gets on while its shoot's Infrastructure is there: Ensure, Keep, Restore, or Release to begin
// anew. Deleted tells whether somebody has deleted it, published whether a range is published for it already. What is published
// is never released, whatever the reservation says: it may come from an old backup.
func DecideOne(phase Phase, deleted, published bool) Action {
	switch {
	case phase == Bound:
		return Keep
	case published:
		return Restore
	case phase == Releasing || deleted:
		return Release
	}
	return Ensure
}
