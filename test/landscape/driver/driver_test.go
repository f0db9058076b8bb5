// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/show"
)

func TestManifestsRender(t *testing.T) {
	g := NewWithT(t)

	manifest, err := ShootManifest()
	g.Expect(err).NotTo(HaveOccurred())

	shoot, err := shootFrom(manifest)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(shoot.Namespace + "/" + shoot.Name).To(Equal(demoShoot.String()))
	g.Expect(*shoot.Spec.Networking.Nodes).To(Equal("v6global/64+prefix/96"))
	g.Expect(*shoot.Spec.Networking.Pods).To(Equal("v6fromNode"))
	g.Expect(*shoot.Spec.Networking.Services).To(Equal("v6global/64"))

	garden, err := render("garden.yaml", map[string]string{"KubernetesVersion": "1.2.3", "SeedNodes": "a", "SeedPods": "b", "SeedServices": "c"})
	g.Expect(err).NotTo(HaveOccurred())

	objects, err := decode(garden)
	g.Expect(err).NotTo(HaveOccurred())

	kinds := make([]string, 0, len(objects))
	for _, object := range objects {
		kinds = append(kinds, object.GetKind())
	}

	g.Expect(kinds).To(Equal([]string{"Secret", "CloudProfile", "ControllerRegistration", "ControllerRegistration", "Seed", "Namespace",
		"Project", "Secret", "CredentialsBinding"}), "a Seed is refused before the extensions that it needs are registered")

	_, err = render("garden.yaml", map[string]string{})
	g.Expect(err).To(MatchError(ContainSubstring(`no entry for key "KubernetesVersion"`)))
}

func TestAddressesInTheFirstPartOfARange(t *testing.T) {
	g := NewWithT(t)
	nodes := netip.MustParsePrefix("2001:db8:1:2::/64")

	g.Expect(addressOf(nodes, gatewayHost).String()).To(Equal("2001:db8:1:2::1/64"))
	g.Expect(addressOf(nodes, firstNodeHost+1).String()).To(Equal("2001:db8:1:2::11/64"))
	g.Expect(addressOf(netip.MustParsePrefix("2001:db8:1:3::/112"), dnsOffset).Addr().String()).To(Equal("2001:db8:1:3::a"))
}

func TestRangesAreMergedOnce(t *testing.T) {
	g := NewWithT(t)
	spec := "2001:db8:1::/64"

	merged, err := mergeCIDRs(&spec, []string{"2001:db8:1::/64"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(merged).To(HaveLen(1))
	g.Expect(merged[0].String()).To(Equal("2001:db8:1::/64"))

	_, err = mergeCIDRs(nil, []string{"v6global"})
	g.Expect(err).To(MatchError(ContainSubstring("invalid CIDR address: v6global")))
}

func TestSourceAddressIsJudged(t *testing.T) {
	for _, test := range []struct {
		name, seen string
		err        error
		want       show.Journey
	}{
		{"its own", "[2001:db8::5]:41234", nil, show.Journey{Seen: "2001:db8::5", Verdict: "its own: no NAT", OK: true}},
		{"translated", "[2001:db8::11]:41234\n", nil, show.Journey{Seen: "2001:db8::11", Verdict: "not its own, which is 2001:db8::5"}},
		{"nonsense", "hello", nil, show.Journey{Verdict: `the other end answers "hello"`}},
		{"silence", "", errors.New("timed out"), show.Journey{Verdict: "timed out"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			NewWithT(t).Expect(judge(show.Journey{}, test.seen, "2001:db8::5", test.err)).To(Equal(test.want))
		})
	}
}

func TestWaitingTellsWhatWasMissing(t *testing.T) {
	g := NewWithT(t)

	err := until(t.Context(), waiting{what: "a miracle", limit: 20 * time.Millisecond, every: time.Millisecond, logs: "the sky"},
		func(context.Context) error { return errors.New("clouds") })
	g.Expect(err).To(MatchError("waited 0s for a miracle; last seen: clouds; look at the sky"))

	looks := 0
	err = until(t.Context(), waiting{what: "the third look", limit: time.Minute, every: time.Millisecond}, func(context.Context) error {
		if looks++; looks < 3 {
			return errors.New("too early")
		}

		return nil
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(looks).To(Equal(3))

	var text strings.Builder

	err = NewProgress(&text).Step(t.Context(), "the impossible", func(context.Context) error { return fmt.Errorf("no: %w", context.Canceled) })
	g.Expect(err).To(MatchError(`step "the impossible": no: context canceled`))
	g.Expect(errors.Is(err, context.Canceled)).To(BeTrue())
	g.Expect(text.String()).To(ContainSubstring("FAILED after"))
}

func TestImageReferencesAreSplitAtTheTag(t *testing.T) {
	repository, tag := splitImage("registry.example:5000/a/b:v1-x")
	NewWithT(t).Expect([]string{repository, tag}).To(Equal([]string{"registry.example:5000/a/b", "v1-x"}))
}
