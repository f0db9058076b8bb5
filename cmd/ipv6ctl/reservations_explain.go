// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// objectKey is the namespace of a reservation that is named by an argument.
type objectKey struct{ namespace string }

func (k *objectKey) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&k.namespace, "namespace", "n", "", "namespace of the reservation in the seed")
}

// of the argument NAME, or NAMESPACE/NAME.
func (k *objectKey) of(arg string) (client.ObjectKey, error) {
	namespace, name, both := strings.Cut(arg, "/")
	switch {
	case both && k.namespace == "" && namespace != "" && name != "":
		return client.ObjectKey{Namespace: namespace, Name: name}, nil
	case both:
		return client.ObjectKey{}, fmt.Errorf("%q: give the namespace once, as NAMESPACE/NAME or by -n", arg)
	case k.namespace == "":
		return client.ObjectKey{}, errors.New("in which namespace? Name it by -n; ipv6ctl reservations list shows it")
	}
	return client.ObjectKey{Namespace: k.namespace, Name: arg}, nil
}

func newExplainReservationCommand(s *seed) *cobra.Command {
	var key objectKey
	cmd := &cobra.Command{
		Use:     "explain NAME -n NAMESPACE",
		Short:   "Tell the whole story of one reservation",
		Example: `  ipv6ctl reservations explain services-ipv6 -n shoot--dev--demo`,
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
			return st.tell(cmd.OutOrStdout())
		},
	}
	key.addFlags(cmd)
	return cmd
}

// tell the story, a paragraph a line.
func (st *story) tell(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, paragraph := range []struct {
		about     string
		sentences []string
	}{
		{"Reservation", []string{st.Namespace + "/" + st.Name}},
		{"Intent", st.intent()},
		{"Owner", st.ownership()},
		{"State", st.state()},
		{"Held", st.holding()},
		{"Published", st.publication()},
		{"In use", st.use()},
		{"Waits for", st.awaits()},
		{"Next", st.next()},
		{"Events", st.heard()},
	} {
		for i, sentence := range paragraph.sentences {
			about := ""
			if i == 0 {
				about = paragraph.about
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\n", about, sentence) // Flush tells
		}
	}
	return table.Flush()
}

func (st *story) intent() []string {
	kind := "global " + string(st.Spec.Family)
	if st.Spec.Scope == v1alpha1.ScopePrivate {
		kind = "unique local (RFC 4193)"
	}
	sentences := []string{fmt.Sprintf("The Shoot %s (UID %s) asks for %s addresses for its %s: a /%d at least, of which Kubernetes gets the first /%d.",
		st.Spec.Owner.Shoot, st.Spec.Owner.ShootUID, kind, st.Spec.Range, st.Spec.PrefixLength, st.Spec.PublishedLength)}
	switch {
	case st.Spec.Backend != "" && st.Spec.Pool != "":
		sentences = append(sentences, fmt.Sprintf("The Shoot names the backend %s and its pool %s.", st.Spec.Backend, st.Spec.Pool))
	case st.Spec.Backend != "":
		sentences = append(sentences, fmt.Sprintf("The Shoot names the backend %s.", st.Spec.Backend))
	case st.Spec.Pool != "":
		sentences = append(sentences, fmt.Sprintf("The Shoot names the pool %s.", st.Spec.Pool))
	case st.Spec.Scope == v1alpha1.ScopeGlobal:
		sentences = append(sentences, "The Shoot names no backend: what the infrastructure provider reports is taken, else the first backend that serves.")
	}
	return sentences
}

func (st *story) ownership() []string {
	owner := infrastructure.OwnerOf(st.PrefixReservation)
	return []string{
		owner.Key() + " is the mark in the backend's descriptions,",
		owner.Hash() + " its hash in names, tags and tokens, where a key does not fit.",
	}
}

// state is the phase, and the condition's own words.
func (st *story) state() []string {
	sentence := phaseOf(st.PrefixReservation)
	if bound := condition(st.PrefixReservation, v1alpha1.ConditionBound); bound != nil {
		sentence += fmt.Sprintf(" (%s, since %s): %s.", bound.Reason, stamp(bound.LastTransitionTime), strings.TrimSuffix(bound.Message, "."))
	} else {
		sentence += ": nobody has written why yet."
	}
	sentences := []string{sentence}
	for _, c := range st.Status.Conditions {
		if c.Type != v1alpha1.ConditionBound {
			sentences = append(sentences, fmt.Sprintf("%s is %s (%s, since %s): %s.", c.Type, c.Status, c.Reason, stamp(c.LastTransitionTime), strings.TrimSuffix(c.Message, ".")))
		}
	}
	if st.DeletionTimestamp != nil {
		sentences = append(sentences, fmt.Sprintf("Somebody deleted it at %s; the finalizer keeps it.", stamp(*st.DeletionTimestamp)))
	}
	return sentences
}

func stamp(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }

func (st *story) holding() []string {
	switch s := st.Status; {
	case s.Allocated == "" && s.Attempt == 0:
		return []string{"Nothing; no backend was asked yet."}
	case s.Allocated == "":
		return []string{fmt.Sprintf("Nothing that is known; %s was asked (attempt %d), and is looked up before it is asked again.", s.Backend, s.Attempt)}
	case s.Backend == backendAdopted:
		return []string{fmt.Sprintf("%s, which the infrastructure provider brought: it is recorded here, and never released by us.", s.Allocated)}
	default:
		id := ""
		if s.ID != "" {
			id = fmt.Sprintf(", known there as %s", s.ID)
		}
		return []string{fmt.Sprintf("%s by the backend %s%s (attempt %d).", s.Allocated, s.Backend, id, max(s.Attempt, 1))}
	}
}

func (st *story) publication() []string {
	if st.Status.Published == "" {
		return []string{"Nothing: the Infrastructure is held back until there is something."}
	}
	var where []string
	key := infrastructure.KeyOf(st.PrefixReservation)
	if st.infra != nil {
		if cidr, ok := infrastructure.Reported(&st.infra.Status, key); ok && cidr.String() == st.Status.Published {
			where = append(where, "the Infrastructure "+st.infra.Name)
		}
	}
	if st.shoot != nil {
		if cidr, ok := infrastructure.PublishedBefore(st.shoot, key); ok && cidr.String() == st.Status.Published {
			where = append(where, "the Shoot")
		}
	}
	if len(where) == 0 {
		return []string{st.Status.Published + ", which stands in no status on this seed."}
	}
	return []string{fmt.Sprintf("%s, which stands in the status of %s.", st.Status.Published, strings.Join(where, " and of "))}
}

func (st *story) use() []string {
	if st.tombstone() {
		if heir := st.heir(); heir != nil {
			return []string{fmt.Sprintf("Yes: the Shoot is back, and %s holds the prefix.", client.ObjectKeyFromObject(heir))}
		}
		if st.Status.QuarantinedUntil == nil {
			return []string{"Nobody here can tell: the Shoot has moved to another seed."}
		}
		return []string{"No: the Shoot is gone."}
	}
	action, why := reservation.Decide(st.facts())
	switch {
	case st.former() && action == reservation.Ensure:
		return []string{"No: the Shoot that it was for is gone, another one has its name now."}
	case action == reservation.Release:
		return []string{fmt.Sprintf("No: %s.", why)}
	case action == reservation.Migrate:
		return []string{fmt.Sprintf("Yes, under another seed soon: %s.", why)}
	}
	if st.Status.Published == "" {
		return []string{fmt.Sprintf("Not yet, but it is wanted: %s.", why)}
	}
	return []string{fmt.Sprintf("Yes: %s.", why)}
}

// waits says by the kind of an error what is awaited.
var waits = map[reservation.Kind]string{
	reservation.Retry:        "Nobody: it is tried again by itself.",
	reservation.Ambiguous:    "Nobody: whether the last call was heard is looked up before the next.",
	reservation.Wait:         "What the state names; who does it wakes the controller.",
	reservation.Exhausted:    "Room: give the backend another pool, or release something.",
	reservation.Quota:        "A higher quota of the account that the backend works in.",
	reservation.Unauthorized: "Credentials that are allowed to: mend the Secret, or the permissions.",
	reservation.Invalid:      "Another wish of the Shoot, or another configuration: as it is it can't be served.",
	reservation.Conflict:     "A person: somebody else holds what this one should.",
}

func (st *story) awaits() []string {
	bound := condition(st.PrefixReservation, v1alpha1.ConditionBound)
	phase := st.Status.Phase
	switch {
	case phase == v1alpha1.PhaseBound:
		if heldIs := condition(st.PrefixReservation, v1alpha1.ConditionHeld); heldIs != nil && heldIs.Status == metav1.ConditionFalse {
			return []string{"A person: the backend does not hold the prefix any more, and it is published."}
		}
		return []string{"Nothing."}
	case st.tombstone() && st.Status.QuarantinedUntil != nil:
		return []string{fmt.Sprintf("The end of the quarantine at %s.", stamp(*st.Status.QuarantinedUntil))}
	case st.tombstone():
		return []string{"Somebody who knows that the Shoot is gone."}
	case bound == nil:
		return []string{"The controller."}
	}
	return []string{cmp.Or(waits[reservation.Kind(bound.Reason)], "The backend's answer.")}
}

func (st *story) next() []string {
	v := st.judge()
	command := fmt.Sprintf("ipv6ctl reservations release %s -n %s --yes", st.Name, st.Namespace)
	switch {
	case v.act == nothing && st.Status.Phase == v1alpha1.PhaseBound && !st.tombstone():
		return []string{"It stays as it is as long as the Shoot lives. " + v.right}
	case v.act == nothing:
		return []string{v.right}
	case v.act == endTime:
		return []string{"The controller gives the prefix back when the time has come; earlier with: " + command}
	case st.tombstone():
		return []string{"It stays until somebody releases it: " + command}
	}
	return []string{"The controller gives the prefix back by itself; if it does not: " + command}
}

// heard are the latest events.
func (st *story) heard() []string {
	const latest = 10
	var sentences []string
	for _, e := range st.events[max(len(st.events)-latest, 0):] {
		sentences = append(sentences, fmt.Sprintf("%s %s %s: %s", when(e).UTC().Format(time.RFC3339), e.Type, e.Reason, e.Message))
	}
	if sentences == nil {
		return []string{"None that is still kept."}
	}
	return sentences
}
