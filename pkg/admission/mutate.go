// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"net/netip"
	"slices"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// Mutator moves the keywords of a Shoot to where Gardener lets them be, and sets what follows from them.
type Mutator struct {
	// Reader reads Seeds.
	Reader client.Reader
}

// Mutate implements the mutator of Gardener's webhook library.
func (m *Mutator) Mutate(ctx context.Context, newObj, oldObj client.Object) error {
	return admit(ctx, m.Reader, newObj, oldObj, mutate)
}

// mutation is what the steps of mutate share.
type mutation struct {
	shoot, old *gardencorev1beta1.Shoot
	seed       *gardencorev1beta1.Seed
	config     *v1alpha1.NetworkConfig
	wishes     map[keyword.Name]wish
}

// mutate gathers what is asked for, plans it, and writes back what follows. The Shoot is changed only if there is no mistake.
func mutate(shoot, old *gardencorev1beta1.Shoot, seed *gardencorev1beta1.Seed) field.ErrorList {
	m := &mutation{shoot: shoot, old: old, seed: seed, wishes: map[keyword.Name]wish{}}
	if errs := m.gather(); len(errs) > 0 {
		return errs
	}
	p, errs := m.plan()
	if errs = append(errs, judgeKubeProxy(shoot)...); len(errs) > 0 {
		return errs
	}
	return m.apply(p)
}

// gather decides what the owner asks for in each range.
func (m *mutation) gather() field.ErrorList {
	var errs field.ErrorList
	config, err := helper.DecodeNetworkConfigAsWritten(m.shoot.Spec.Networking.ProviderConfig)
	if err != nil {
		errs = append(errs, field.Invalid(providerConfigPath, field.OmitValueType{}, err.Error()))
		config = &v1alpha1.NetworkConfig{}
	}
	m.config = config
	// The ranges are looked at below, together with the spec's.
	judged := *config
	judged.Ranges = nil
	errs = append(errs, judgeConfig(&judged, m.old)...)

	oldConfig := storedConfig(m.old)
	for _, n := range keyword.Names() {
		t := texts{spec: specRange(m.shoot, n), config: configRange(config, n), seedDefault: seedDefault(m.seed, n)}
		if m.old != nil {
			t.oldSpec, t.oldConfig = specRange(m.old, n), configRange(oldConfig, n)
			t.published = statusRange(m.old, n)
		}
		w, wishErrs := decide(n, t)
		errs = append(errs, wishErrs...)
		m.wishes[n] = w
	}
	return errs
}

// plan builds the plan of a Shoot that asks for the wishes and for nothing else.
func (m *mutation) plan() (plan.Plan, field.ErrorList) {
	ranges, facts, errs := m.facts()
	if len(errs) > 0 {
		return plan.Plan{}, errs
	}
	var was *asked
	if m.old != nil {
		was = &asked{config: storedConfig(m.old)}
		for n, w := range m.wishes {
			was.ranges = was.ranges.With(n, w.before)
		}
	}
	return judgeRanges(m.shoot, asked{ranges, m.config}, was, facts, m.where)
}

// where is the field in which the owner writes the range, and what.
func (m *mutation) where(n keyword.Name) (*field.Path, string) {
	if w := m.wishes[n]; w.asked != nil {
		return w.path, w.text
	}
	return networkingPath.Child(string(n)), ""
}

// facts reads the facts as every other part of the project does, from a Shoot whose only ranges are the wishes, and takes out
// what Gardener's defaulting put in: it ran before us, and took the Shoot for an IPv4 one if it had no ipFamilies.
func (m *mutation) facts() (keyword.Ranges, plan.Facts, field.ErrorList) {
	shoot := m.shoot.DeepCopy()
	networking := shoot.Spec.Networking
	config := m.config.DeepCopy()
	for _, n := range keyword.Names() {
		setSpecRange(shoot, n, nil)
		setConfigRange(config, n, m.wishes[n].asked)
	}
	encoded, err := helper.EncodeNetworkConfig(config)
	if err != nil {
		return keyword.Ranges{}, plan.Facts{}, field.ErrorList{field.InternalError(providerConfigPath, err)}
	}
	networking.ProviderConfig = encoded
	ranges, facts, err := shootplan.Gather(shoot, m.seed)
	if err != nil {
		return keyword.Ranges{}, plan.Facts{}, field.ErrorList{field.Invalid(networkingPath, field.OmitValueType{}, err.Error())}
	}
	if slices.Equal(facts.IPFamilies, []prefix.Family{prefix.IPv4}) {
		facts.IPFamilies = nil
	}
	source := m.shoot
	if m.old != nil {
		source = m.old // the masks are immutable
	}
	facts.NodeMaskIPv4, facts.NodeMaskIPv6 = ownersMasks(source, m.old != nil)
	return ranges, facts, nil
}

// apply writes back what follows from the plan.
func (m *mutation) apply(p plan.Plan) field.ErrorList {
	published, err := p.Publish(nil)
	if err != nil {
		return rangeErrors(err, m.where)
	}
	networking := m.shoot.Spec.Networking
	config := m.config.DeepCopy()
	for _, n := range keyword.Names() {
		w := m.wishes[n]
		setConfigRange(config, n, w.asked)
		setSpecRange(m.shoot, n, specValue(w, p, published))
	}
	if config.Ranges != nil {
		encoded, err := helper.EncodeNetworkConfig(config)
		if err != nil {
			return field.ErrorList{field.InternalError(providerConfigPath, err)}
		}
		networking.ProviderConfig = encoded
	}
	networking.IPFamilies = nil
	for _, f := range p.IPFamilies {
		networking.IPFamilies = append(networking.IPFamilies, gardencorev1beta1.IPFamily(f.String()))
	}
	m.applyMasks(p)
	return nil
}

// specValue is what goes to the spec field of the range: what stands there already and must stay, or the one CIDR of the
// primary family. Gardener refuses a dual-stack Shoot without CIDRs, so if that one is not known yet it is the other family's.
func specValue(w wish, p plan.Plan, published plan.Published) *string {
	known := published.Of(w.name)
	if w.name == keyword.Pods {
		known = slices.DeleteFunc(slices.Clone(known), func(c netip.Prefix) bool { return undecided(p, prefix.FamilyOf(c.Addr())) })
	}
	if w.keep != "" && (w.name != keyword.Nodes || len(known) == 0 || unchanged(w)) {
		return &w.keep
	}
	for _, f := range p.IPFamilies {
		i := slices.IndexFunc(known, func(c netip.Prefix) bool { return prefix.FamilyOf(c.Addr()) == f })
		if i >= 0 {
			text := known[i].String()
			return &text
		}
	}
	return nil
}

// undecided tells whether the published pods of the family may still become others. spec.networking.pods is immutable: pods that
// come from the nodes go there only if the nodes are fixed, for a podSupernet gives way to what the Infrastructure reports, and
// gardenlet would then hand both to Kubernetes.
func undecided(p plan.Plan, f prefix.Family) bool {
	_, fixed := p.Fixed[plan.Key{Range: keyword.Nodes, Family: f}]
	return !fixed && slices.ContainsFunc(p.NodeRanges, func(r plan.NodeRange) bool { return r.Family == f && r.From == keyword.Nodes })
}

func unchanged(w wish) bool {
	return w.before != nil && w.asked != nil && w.before.String() == w.asked.String()
}
