// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func newReleaseCommand(s *seed) *cobra.Command {
	var (
		key objectKey
		yes bool
	)
	cmd := &cobra.Command{
		Use:   "release NAME -n NAMESPACE",
		Short: "Release what nobody uses any more, at once",
		Long: `Release what nobody uses any more, at once: end the quarantine of a released prefix, or let go of what a Shoot has left behind that moved to
another seed. What is in use is refused. Without --yes it only says what it would do.`,
		Example: `  ipv6ctl reservations release released-2f1c… -n extension-networking-ipv6 --yes`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := key.of(args[0])
			if err != nil {
				return err
			}
			if err := s.connect(); err != nil {
				return err
			}
			st, err := s.gather(cmd.Context(), name)
			if err != nil {
				return err
			}
			v := st.judge()
			if v.act == nothing {
				return inputError{fmt.Errorf("%s is not released: %s\n%s", name, v.why, v.right)}
			}
			if !yes {
				if err := say(cmd.OutOrStdout(), "Would release %s: %s", name, v.why); err != nil {
					return err
				}
				return inputError{fmt.Errorf("nothing was done: add --yes")}
			}
			if err := s.carryOut(cmd, st, v.act); err != nil {
				return err
			}
			return say(cmd.OutOrStdout(), "Released %s: %s", name, v.why)
		},
	}
	key.addFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func say(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

// act is what release does.
type act string

const (
	nothing  act = ""
	endTime  act = "end the quarantine"
	deleteIt act = "delete the object"
)

// verdict says whether a reservation may be released, and how: why is what happens, or why it is refused, and right what would
// be right instead.
type verdict struct {
	act        act
	why, right string
}

func refuse(right, format string, args ...any) verdict {
	return verdict{why: fmt.Sprintf(format, args...), right: right}
}

// judge whether the reservation may be released. It is as careful as the controller: what it would keep is refused.
func (st *story) judge() verdict {
	if st.tombstone() {
		return st.judgeTombstone()
	}
	shoot := st.Spec.Owner.Shoot
	deleteShoot := fmt.Sprintf("Right is to delete the Shoot %s; its reservations are released when its Infrastructure is gone.", shoot)
	action, why := reservation.Decide(st.facts())
	if st.former() && action == reservation.Ensure {
		return st.judgeUnused("the Shoot that it was for is gone, another one has its name now")
	}
	switch action {
	case reservation.Ensure, reservation.Restore:
		if st.Status.Phase != v1alpha1.PhaseBound {
			return refuse(fmt.Sprintf("Right is to ask for something else in the Shoot %s: what is not bound is then made anew.", shoot),
				"the Shoot %s waits for it: %s", shoot, why)
		}
		return refuse(deleteShoot, "%s is in use by the Shoot %s: %s", st.Status.Allocated, shoot, why)
	case reservation.Keep:
		return refuse(deleteShoot, "%s may be in use by the Shoot %s: %s", held(st.PrefixReservation), shoot, why)
	case reservation.Migrate:
		return refuse("Right is to wait: the prefix goes with the Shoot, and this seed lets go of it.", "%s", why)
	case reservation.Release:
	}
	return st.judgeUnused(why)
}

// judgeUnused is about what the controller releases, too, so that little is left to do.
func (st *story) judgeUnused(why string) verdict {
	if st.DeletionTimestamp != nil || st.Status.Phase == v1alpha1.PhaseReleasing {
		reason := "it takes a moment"
		if bound := condition(st.PrefixReservation, v1alpha1.ConditionBound); bound != nil {
			reason = bound.Message
		}
		return refuse("Right is to mend what holds it up; the finalizer goes when the prefix is given back.", "it is being released already: %s", reason)
	}
	return verdict{act: deleteIt, why: why + "; the object is deleted, and the controller gives " + held(st.PrefixReservation) + " back, through a quarantine"}
}

func (st *story) judgeTombstone() verdict {
	what := held(st.PrefixReservation)
	if heir := st.heir(); heir != nil {
		return refuse("Right is to leave it: it goes by itself.",
			"%s is in use: the Shoot %s is back, and %s holds the prefix", what, st.Spec.Owner.Shoot, client.ObjectKeyFromObject(heir))
	}
	switch until := st.Status.QuarantinedUntil; {
	case st.DeletionTimestamp != nil:
		return refuse("Right is to wait.", "it is deleted already, and the garbage collector frees %s", what)
	case st.Status.Phase != v1alpha1.PhaseQuarantined:
		return refuse("Right is to wait a moment and look again.", "it is still being written by the controller")
	case until == nil:
		return verdict{act: deleteIt, why: fmt.Sprintf("the Shoot %s has moved to another seed, and must be gone there: nobody here can tell. "+
			"The object is deleted, and the garbage collector frees %s after three sweeps", st.Spec.Owner.Shoot, what)}
	case !until.After(st.now):
		return refuse("Right is to look at the events and the log of the extension if it stays.", "the quarantine of %s was over at %s, and the controller gives it back",
			what, until.UTC().Format(time.RFC3339))
	default:
		return verdict{act: endTime, why: fmt.Sprintf("the quarantine of %s ends now instead of at %s, and the controller gives it back: it may be handed out at once",
			what, until.UTC().Format(time.RFC3339))}
	}
}

// held names what a reservation is about.
func held(r *v1alpha1.PrefixReservation) string {
	if r.Status.Allocated == "" {
		return "whatever was allocated"
	}
	return r.Status.Allocated
}

// carryOut does it, unless the reservation has changed since it was read.
func (s *seed) carryOut(cmd *cobra.Command, st *story, what act) error {
	name := client.ObjectKeyFromObject(st.PrefixReservation)
	if what == deleteIt {
		err := s.Delete(cmd.Context(), st.PrefixReservation, client.Preconditions{UID: &st.UID, ResourceVersion: &st.ResourceVersion})
		return s.failed(fmt.Sprintf("deleting PrefixReservation %s", name), err)
	}
	next := st.DeepCopy()
	now := metav1.NewTime(st.now.UTC().Truncate(time.Second)) // whole seconds, not in the future
	next.Status.QuarantinedUntil = &now
	if equality.Semantic.DeepEqual(next.Status, st.Status) {
		return nil
	}
	return s.failed(fmt.Sprintf("ending the quarantine of PrefixReservation %s", name), s.Status().Update(cmd.Context(), next))
}
