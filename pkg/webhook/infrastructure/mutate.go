// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package infrastructure

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// What the descriptions of a held Infrastructure begin with. They are how it is recognised later: what the provider itself
// writes while it works begins otherwise and is left alone.
const (
	waitingPrefix = "Waiting for prefix reservations: "
	failedPrefix  = "Prefix reservation failed: "
	doneText      = "The infrastructure is reconciled and the prefixes are reserved"
)

// Passes tells whether the Infrastructure is none of our business: it is on its way out, by deletion or by migration.
func Passes(infra *extensionsv1alpha1.Infrastructure) bool {
	return infra.DeletionTimestamp != nil || Migrating(infra) ||
		infra.Status.LastOperation != nil && infra.Status.LastOperation.Type == gardencorev1beta1.LastOperationTypeDelete
}

// Migrating tells whether the Infrastructure is being moved to another seed, or already was.
func Migrating(infra *extensionsv1alpha1.Infrastructure) bool {
	switch infra.Annotations[v1beta1constants.GardenerOperation] {
	case v1beta1constants.GardenerOperationMigrate:
		return true
	case v1beta1constants.GardenerOperationRestore, v1beta1constants.GardenerOperationReconcile:
		return false // it came back
	}
	return infra.Status.LastOperation != nil && infra.Status.LastOperation.Type == gardencorev1beta1.LastOperationTypeMigrate
}

// Mutate makes the status what it should be: our ranges merged in, held while one is missing, let go when none is. It is pure
// and idempotent. The notes say what an operator may want to know.
func Mutate(infra *extensionsv1alpha1.Infrastructure, shoot Shoot) (notes []string) {
	if Passes(infra) {
		return nil
	}
	if shoot.PlanErr != nil {
		hold(infra, failure{codes: configurationProblem, message: shoot.PlanErr.Error()})
		return nil
	}
	published, err := shoot.Publish(&infra.Status)
	if err != nil {
		hold(infra, failure{codes: configurationProblem, message: err.Error()})
		return nil
	}
	notes = merge(infra, shoot, published)
	if len(published.Missing) > 0 {
		hold(infra, shoot.awaited(published.Missing))
		return notes
	}
	release(infra)
	return notes
}

// merge puts the published CIDRs in the place of the provider's, at most one a family, the primary family first. A family that
// the Shoot does not want is dropped.
func merge(infra *extensionsv1alpha1.Infrastructure, shoot Shoot, published plan.Published) (notes []string) {
	for _, name := range keyword.Names() {
		theirs := cidrsOf(&infra.Status, name)
		kept, dropped := shoot.split(name, theirs)
		for _, text := range dropped {
			notes = append(notes, fmt.Sprintf("The provider reports %s for %s, of a family that the Shoot does not have there: it is not published", text, name))
		}
		ours := published.Of(name)
		if len(ours) == 0 && len(dropped) == 0 {
			continue
		}
		merged, replaced := mergeRange(kept, ours, familyOrder(shoot.Plan))
		for _, text := range replaced {
			notes = append(notes, fmt.Sprintf("The provider reports %s for %s; what is published is %s", text, name, strings.Join(merged, ", ")))
		}
		setCIDRs(&infra.Status, name, merged)
	}
	return notes
}

// split off what the provider reports of a family that the Shoot does not want. Nodes may have addresses of a family that the
// Shoot does not speak of, unless it says that it has none: nov4, nov6.
func (s Shoot) split(name keyword.Name, theirs []string) (kept, dropped []string) {
	for _, text := range theirs {
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			kept = append(kept, text) // not ours to judge
			continue
		}
		key := plan.Key{Range: name, Family: prefix.FamilyOf(cidr.Addr())}
		if s.wants(key) || name == keyword.Nodes && !s.refuses(key) {
			kept = append(kept, text)
		} else {
			dropped = append(dropped, text)
		}
	}
	return kept, dropped
}

// refuses tells whether the Shoot says that the range has no prefix of the family.
func (s Shoot) refuses(key plan.Key) bool {
	asked := s.Plan.Ranges.Get(key.Range)
	return asked != nil && slices.ContainsFunc(asked.Values, func(v keyword.Value) bool { return v.None() && v.Family() == key.Family })
}

func mergeRange(theirs []string, ours []netip.Prefix, order []prefix.Family) (merged, replaced []string) {
	byFamily := map[prefix.Family]string{}
	for _, cidr := range ours {
		byFamily[prefix.FamilyOf(cidr.Addr())] = cidr.String()
	}
	var unreadable []string
	for _, text := range theirs {
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			unreadable = append(unreadable, text) // not ours to judge
			continue
		}
		family := prefix.FamilyOf(cidr.Addr())
		switch {
		case byFamily[family] == "":
			byFamily[family] = text
		case byFamily[family] != cidr.Masked().String():
			replaced = append(replaced, text)
		}
	}
	for _, family := range order {
		if text := byFamily[family]; text != "" {
			merged = append(merged, text)
		}
	}
	return append(merged, unreadable...), replaced
}

func familyOrder(p plan.Plan) []prefix.Family {
	if len(p.IPFamilies) > 0 && p.IPFamilies[0] == prefix.IPv4 {
		return []prefix.Family{prefix.IPv4, prefix.IPv6}
	}
	return []prefix.Family{prefix.IPv6, prefix.IPv4}
}

// failure is why an Infrastructure is held; without codes nothing is wrong, only not ready.
type failure struct {
	codes   []gardencorev1beta1.ErrorCode
	message string
}

var configurationProblem = []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorConfigurationProblem}

// awaited says in a sentence what is missing and why.
func (s Shoot) awaited(missing []plan.Key) failure {
	var (
		f     failure
		texts []string
	)
	for _, key := range missing {
		text := fmt.Sprintf("%s (%s): ", key.Range, key.Family)
		i := slices.IndexFunc(s.Reservations, func(r v1alpha1.PrefixReservation) bool { return KeyOf(&r) == key })
		switch {
		case i >= 0:
			r := &s.Reservations[i]
			condition := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionBound)
			if condition == nil {
				text += "the reservation has just begun"
				break
			}
			text += condition.Message
			if r.Status.Phase == v1alpha1.PhaseFailed {
				f.codes = append(f.codes, codeOf(reservation.Kind(condition.Reason)))
			}
		case s.requested(key):
			text += "not reserved yet"
		case s.comesWithNodes(key):
			text += "comes with the nodes range"
		case key.Range == keyword.Pods:
			text += "the infrastructure provider reports no range, and providerConfig.podSupernet is not set"
		default:
			text += "the infrastructure provider reports no range"
		}
		texts = append(texts, text)
	}
	slices.Sort(f.codes)
	f.codes = slices.Compact(f.codes)
	f.message = strings.Join(texts, "; ")
	return f
}

func (s Shoot) requested(key plan.Key) bool {
	return slices.ContainsFunc(s.Plan.Requests, func(r plan.Request) bool { return r.Key == key })
}

// comesWithNodes tells whether the pods are a part of nodes that are reserved.
func (s Shoot) comesWithNodes(key plan.Key) bool {
	return key.Range == keyword.Pods && s.requested(plan.Key{Range: keyword.Nodes, Family: key.Family}) &&
		slices.ContainsFunc(s.Plan.NodeRanges, func(r plan.NodeRange) bool { return r.Family == key.Family && r.From == keyword.Nodes })
}

func codeOf(kind reservation.Kind) gardencorev1beta1.ErrorCode {
	switch kind {
	case reservation.Exhausted:
		return gardencorev1beta1.ErrorInfraResourcesDepleted
	case reservation.Quota:
		return gardencorev1beta1.ErrorInfraQuotaExceeded
	case reservation.Unauthorized:
		return gardencorev1beta1.ErrorInfraUnauthorized
	case reservation.Conflict:
		// Not the Shoot's fault: whoever mends the seed must not have to touch each Shoot, too.
		return gardencorev1beta1.ErrorRetryableConfigurationProblem
	case reservation.Invalid, reservation.Retry, reservation.Wait, reservation.Ambiguous:
		return gardencorev1beta1.ErrorConfigurationProblem
	}
	return gardencorev1beta1.ErrorConfigurationProblem
}

// hold turns Succeeded into Processing, or into Error if a person has to act. What the provider itself still works on stays.
func hold(infra *extensionsv1alpha1.Infrastructure, f failure) {
	last := infra.Status.LastOperation
	if last == nil || last.State != gardencorev1beta1.LastOperationStateSucceeded && !Held(infra) {
		dropError(infra)
		return
	}
	last.Progress = min(last.Progress, 99)
	if len(f.codes) == 0 {
		last.State, last.Description = gardencorev1beta1.LastOperationStateProcessing, waitingPrefix+f.message
		dropError(infra)
		return
	}
	last.State, last.Description = gardencorev1beta1.LastOperationStateError, failedPrefix+f.message
	updated := last.LastUpdateTime
	infra.Status.LastError = &gardencorev1beta1.LastError{Description: last.Description, Codes: f.codes, LastUpdateTime: &updated}
}

// release gives back the Succeeded that hold took. The time of the update stays the provider's: gardenlet compares it with
// the time of its own request.
func release(infra *extensionsv1alpha1.Infrastructure) {
	if Held(infra) {
		last := infra.Status.LastOperation
		last.State, last.Progress, last.Description = gardencorev1beta1.LastOperationStateSucceeded, 100, doneText
	}
	dropError(infra)
}

// Held tells whether the Infrastructure would be Succeeded but for the prefixes.
func Held(infra *extensionsv1alpha1.Infrastructure) bool {
	last := infra.Status.LastOperation
	if last == nil {
		return false
	}
	switch last.State {
	case gardencorev1beta1.LastOperationStateProcessing:
		return strings.HasPrefix(last.Description, waitingPrefix)
	case gardencorev1beta1.LastOperationStateError:
		return strings.HasPrefix(last.Description, failedPrefix)
	default:
		return false
	}
}

// dropError removes the last error if it is one of ours.
func dropError(infra *extensionsv1alpha1.Infrastructure) {
	if e := infra.Status.LastError; e != nil && strings.HasPrefix(e.Description, failedPrefix) {
		infra.Status.LastError = nil
	}
}
