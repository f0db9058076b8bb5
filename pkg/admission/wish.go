// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// texts are what stands in the places where one range may be written.
type texts struct {
	// spec and config are the new spec.networking and providerConfig.ranges.
	spec, config *string
	// oldSpec and oldConfig are the same of the Shoot as it is stored; nil on creation.
	oldSpec, oldConfig *string
	// seedDefault is the Seed's shootDefaults for the range, which Gardener fills in wherever the spec is empty.
	seedDefault *string
	// published are the CIDRs of the range in the stored Shoot's status; none before the Infrastructure was ready once.
	published []string
}

// wish is what the owner asks for in one range.
type wish struct {
	name keyword.Name
	// asked is nil if the owner says nothing of the range, and never did.
	asked *keyword.Range
	// path and text are where and how he says it.
	path *field.Path
	text string
	// before is what he asked for before this update; nil if nothing.
	before *keyword.Range
	// keep is what stands in the spec field because others, or we, wrote it there and it must stay; "" if nothing.
	keep string
}

// decide finds out what the owner asks for, among what he writes now, what he wrote before, what we wrote back then, and what
// Gardener fills in.
func decide(name keyword.Name, t texts) (wish, field.ErrorList) {
	specPath, configPath := networkingPath.Child(string(name)), providerConfigPath.Child("ranges", string(name))
	w := wish{name: name, before: before(name, t)}
	if t.oldSpec != nil {
		w.keep = *t.oldSpec
	}

	config, errs := parse(name, configPath, t.config)
	spec, specErrs := parse(name, specPath, t.spec)
	base := config
	if base == nil && t.oldConfig != nil {
		base = w.before
	}
	if spec != nil && base != nil && len(specErrs) == 0 {
		switch cidr, isCIDR := single(*spec); {
		case !isCIDR:
		case follows(name, *base, cidr), t.seedDefault != nil && *t.seedDefault == *t.spec && t.oldSpec == nil:
			spec = nil
		case t.oldSpec != nil && *t.oldSpec == *t.spec:
			spec = nil
		case name == keyword.Nodes && t.oldConfig != nil && t.oldSpec == nil && pinned(*base, cidr, t.published):
			spec, w.keep = nil, cidr.String()
		}
	}
	errs = append(errs, specErrs...)
	if len(errs) > 0 {
		return w, errs
	}

	fromSpec := func() { w.asked, w.path, w.text = spec, specPath, *t.spec }
	fromConfig := func() { w.asked, w.path, w.text = config, configPath, *t.config }
	switch {
	case spec == nil && config == nil:
		if w.asked = w.before; w.before != nil {
			w.path, w.text = configPath, w.before.String()
		}
	case spec == nil:
		fromConfig()
	case config == nil:
		fromSpec()
	case spec.String() == config.String():
		fromConfig()
	case w.before != nil && config.String() == w.before.String():
		// The owner writes the keyword in the spec and edited it there; the other is what we wrote back last time.
		fromSpec()
	default:
		errs = append(errs, field.Invalid(specPath, *t.spec, fmt.Sprintf("contradicts %s, which is %q: give the range in one of the two fields, or the same in both",
			configPath, *t.config)))
	}
	return w, errs
}

// before is what the stored Shoot asks for.
func before(name keyword.Name, t texts) *keyword.Range {
	for _, text := range []*string{t.oldConfig, t.oldSpec} {
		if text == nil {
			continue
		}
		if r, err := keyword.Parse(name, *text); err == nil {
			return &r
		}
	}
	return nil
}

// parse reads one text; every mistake becomes an error of its field, with the text and the place marked under it.
func parse(name keyword.Name, path *field.Path, text *string) (*keyword.Range, field.ErrorList) {
	if text == nil {
		return nil, nil
	}
	r, err := keyword.Parse(name, *text)
	if err != nil {
		return nil, fieldErrors(path, *text, err)
	}
	return &r, nil
}

// fieldErrors maps the mistakes of the keyword language and the plan to one field.
func fieldErrors(path *field.Path, text string, err error) field.ErrorList {
	var list keyword.ErrorList
	if !errors.As(err, &list) {
		return field.ErrorList{field.Invalid(path, text, err.Error())}
	}
	errs := make(field.ErrorList, 0, len(list))
	for _, e := range list {
		errs = append(errs, field.Invalid(path, text, detail(e)))
	}
	return errs
}

func detail(e keyword.Error) string {
	if caret := e.Caret("    "); caret != "" {
		return e.Message() + "\n" + caret
	}
	return e.Message()
}

// single is the CIDR of a text that is nothing else.
func single(r keyword.Range) (netip.Prefix, bool) {
	if len(r.Values) != 1 || !r.Values[0].CIDR.IsValid() || r.Values[0].NodePrefix != 0 {
		return netip.Prefix{}, false
	}
	return r.Values[0].CIDR, true
}

// follows tells whether the CIDR is what the range stands for anyway, as admission would write it.
func follows(name keyword.Name, asked keyword.Range, cidr netip.Prefix) bool {
	k := plan.Key{Range: name, Family: prefix.FamilyOf(cidr.Addr())}
	v, ok := asked.Value(k.Family)
	if !ok {
		return false
	}
	own, ok := v.Fixed(name)
	return ok && plan.PublishedPart(k, own) == cidr
}

// pinned tells whether the CIDR can be the one that gardenlet writes into an empty spec.networking.nodes when the Infrastructure
// is ready: one that satisfies what was asked for, where that was no CIDR. gardenlet writes the status after the spec; once it
// did, the nodes are known, and nothing else can be meant.
func pinned(asked keyword.Range, cidr netip.Prefix, published []string) bool {
	if len(published) > 0 && !slices.Contains(published, cidr.String()) {
		return false
	}
	k := plan.Key{Range: keyword.Nodes, Family: prefix.FamilyOf(cidr.Addr())}
	v, ok := asked.Value(k.Family)
	if !ok {
		return false
	}
	if _, fixed := v.Fixed(keyword.Nodes); fixed {
		return false
	}
	return plan.Plan{Ranges: keyword.Ranges{Nodes: &asked}}.Adoptable(k, cidr) == nil
}
