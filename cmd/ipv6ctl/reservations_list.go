// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/webhook/infrastructure"
)

// listing is what the flags of list say.
type listing struct {
	namespace     string
	allNamespaces bool
	phases        []string
	backends      []string
	output        string
}

// phaseMoved is shown for what a shoot has left behind that lives on under another seed.
const phaseMoved = "Moved"

var phases = []string{
	string(v1alpha1.PhasePending), string(v1alpha1.PhaseAllocating), string(v1alpha1.PhaseBound), string(v1alpha1.PhaseReleasing),
	string(v1alpha1.PhaseQuarantined), string(v1alpha1.PhaseFailed), phaseMoved,
}

func newListCommand(s *seed) *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List a seed's reservations, living and released",
		Long: `List a seed's reservations, living and released. What was released rests as Quarantined until the time in the column UNTIL. Moved is
what a Shoot has left behind that lives on under another seed: it stays held until somebody releases it.`,
		Example: `  ipv6ctl reservations list
  ipv6ctl reservations list -n shoot--dev--demo -o wide
  ipv6ctl reservations list --phase Quarantined,Moved
  ipv6ctl reservations list --backend pool -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.check(); err != nil {
				return err
			}
			if err := s.connect(); err != nil {
				return err
			}
			list := &v1alpha1.PrefixReservationList{}
			if err := s.List(cmd.Context(), list, client.InNamespace(l.namespace)); err != nil {
				return s.failed("listing the PrefixReservations", err)
			}
			return l.write(cmd.OutOrStdout(), l.entries(list.Items), time.Now())
		},
	}
	cmd.Flags().StringVarP(&l.namespace, "namespace", "n", "", "only those in this namespace of the seed")
	cmd.Flags().BoolVarP(&l.allNamespaces, "all-namespaces", "A", false, "those of all namespaces; that is so without -n")
	cmd.Flags().StringSliceVar(&l.phases, "phase", nil, "only those in these phases: "+strings.Join(phases, ", "))
	cmd.Flags().StringSliceVar(&l.backends, "backend", nil, "only those of these backends")
	cmd.Flags().StringVarP(&l.output, "output", "o", "table", "table, wide or json")
	cmd.MarkFlagsMutuallyExclusive("namespace", "all-namespaces")
	return cmd
}

func (l *listing) check() error {
	if !slices.Contains([]string{"table", "wide", "json"}, l.output) {
		return fmt.Errorf("--output: %q is none of table, wide and json", l.output)
	}
	for i, phase := range l.phases {
		at := slices.IndexFunc(phases, func(p string) bool { return strings.EqualFold(p, phase) })
		if at < 0 {
			return fmt.Errorf("--phase: %q is none of %s", phase, strings.Join(phases, ", "))
		}
		l.phases[i] = phases[at]
	}
	return nil
}

// entry is a reservation as list shows it. The fields of its JSON are kept from release to release.
type entry struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Shoot is namespace/name in the garden.
	Shoot    string `json:"shoot"`
	ShootUID string `json:"shootUID"`
	Range    string `json:"range"`
	Family   string `json:"family"`
	Scope    string `json:"scope"`
	// Phase is that of the object, or Moved.
	Phase string `json:"phase"`
	// Deleting is true if somebody has deleted the object, but it is still there.
	Deleting        bool   `json:"deleting,omitempty"`
	PrefixLength    int32  `json:"prefixLength"`
	PublishedLength int32  `json:"publishedLength"`
	Prefix          string `json:"prefix,omitempty"`
	Published       string `json:"published,omitempty"`
	Backend         string `json:"backend,omitempty"`
	// ID in the backend.
	ID      string `json:"id,omitempty"`
	Attempt int32  `json:"attempt,omitempty"`
	// OwnerKey and OwnerHash mark it in the backend.
	OwnerKey  string    `json:"ownerKey"`
	OwnerHash string    `json:"ownerHash"`
	Created   time.Time `json:"created"`
	// Until is when the quarantine ends.
	Until *time.Time `json:"until,omitempty"`
	// Reason and Message are those of the condition Bound.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

func entryOf(r *v1alpha1.PrefixReservation) entry {
	owner := infrastructure.OwnerOf(r)
	e := entry{
		Namespace: r.Namespace, Name: r.Name, Shoot: r.Spec.Owner.Shoot, ShootUID: r.Spec.Owner.ShootUID,
		Range: string(r.Spec.Range), Family: string(r.Spec.Family), Scope: string(r.Spec.Scope),
		Phase: phaseOf(r), Deleting: r.DeletionTimestamp != nil,
		PrefixLength: r.Spec.PrefixLength, PublishedLength: r.Spec.PublishedLength, Prefix: r.Status.Allocated, Published: r.Status.Published,
		Backend: r.Status.Backend, ID: r.Status.ID, Attempt: r.Status.Attempt, OwnerKey: owner.Key(), OwnerHash: owner.Hash(),
		Created: r.CreationTimestamp.UTC(),
	}
	if until := r.Status.QuarantinedUntil; until != nil {
		t := until.UTC()
		e.Until = &t
	}
	if bound := condition(r, v1alpha1.ConditionBound); bound != nil {
		e.Reason, e.Message = bound.Reason, bound.Message
	}
	return e
}

// entries that are wanted: by shoot, what lives first, in the order nodes, pods, services.
func (l *listing) entries(items []v1alpha1.PrefixReservation) []entry {
	found := []entry{}
	for i := range items {
		e := entryOf(&items[i])
		if len(l.phases) > 0 && !slices.Contains(l.phases, e.Phase) || len(l.backends) > 0 && !slices.Contains(l.backends, e.Backend) {
			continue
		}
		found = append(found, e)
	}
	ranges := []string{string(v1alpha1.RangeNodes), string(v1alpha1.RangePods), string(v1alpha1.RangeServices)}
	slices.SortFunc(found, func(a, b entry) int {
		return cmp.Or(
			cmp.Compare(a.Shoot, b.Shoot), cmp.Compare(a.rest(), b.rest()), cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(slices.Index(ranges, a.Range), slices.Index(ranges, b.Range)), -cmp.Compare(a.Family, b.Family), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// rest is 1 for what is only left over of a shoot.
func (e entry) rest() int {
	if e.Phase == string(v1alpha1.PhaseQuarantined) || e.Phase == phaseMoved {
		return 1
	}
	return 0
}

func (l *listing) write(w io.Writer, entries []entry, now time.Time) error {
	if l.output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			Reservations []entry `json:"reservations"`
		}{entries})
	}
	if len(entries) == 0 {
		_, err := fmt.Fprintln(w, "No reservations.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	head := []string{"NAMESPACE", "NAME", "SHOOT", "RANGE", "PHASE", "PREFIX", "PUBLISHED", "BACKEND", "AGE", "UNTIL"}
	if l.output == "wide" {
		head = append(head, "ID", "OWNER", "REASON")
	}
	line := func(cells []string) {
		if l.namespace != "" {
			cells = cells[1:]
		}
		for i, cell := range cells {
			cells[i] = cmp.Or(cell, "-")
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) // Flush tells
	}
	line(head)
	for _, e := range entries {
		phase, until := e.Phase, ""
		if e.Deleting {
			phase += " (deleting)"
		}
		if e.Until != nil {
			until = e.Until.Format(time.RFC3339)
		}
		cells := []string{e.Namespace, e.Name, e.Shoot, e.Range, phase, e.Prefix, e.Published, e.Backend, age(now.Sub(e.Created)), until}
		if l.output == "wide" {
			cells = append(cells, e.ID, e.OwnerKey, e.Reason)
		}
		line(cells)
	}
	return table.Flush()
}

// age in one unit: what it took more precisely, the JSON tells.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "<1m"
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
