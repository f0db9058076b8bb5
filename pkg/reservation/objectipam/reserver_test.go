// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objectipam_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/objectipam"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
)

func open(m *model) *objectipam.Reserver {
	return &objectipam.Reserver{
		BackendName: "service", Service: m, Home: reservation.Home{GardenID: "garden-a", Seed: "seed-a"},
		Pools:    []reservation.Pool{{Name: "pool", ID: "pool", Family: prefix.IPv6, MinBits: 56, MaxBits: 64}},
		Patience: time.Second, Settle: time.Nanosecond,
	}
}

func request() reservation.Request {
	return reservation.Request{Key: plan.Key{Range: keyword.Nodes, Family: prefix.IPv6}, Scope: plan.Global, Bits: 64, Pools: []string{"pool"}}
}

var owner = reservetest.Owner(1)

func TestConformance(t *testing.T) {
	reservetest.Run(t, reservetest.Subject{
		New: func(*testing.T) (reservation.Reserver, func() reservation.Reserver) {
			m := newModel("2001:db8::/56")
			return open(m), func() reservation.Reserver { return open(m) }
		},
		Scope: plan.Global, Bits: 64, Pools: []string{"pool"}, Foreign: netip.MustParsePrefix("2001:db8:0:77::/64"),
		Idempotent: true,
		Seeds: func(*testing.T) (reservation.Reserver, reservation.Reserver) {
			m := newModel("2001:db8::/56")
			a, b := open(m), open(m)
			a.Home.Seed, b.Home.Seed = reservetest.SeedA, reservetest.SeedB
			return a, b
		},
		Full: func(*testing.T) (reservation.Reserver, int) { return open(newModel("2001:db8::/62")), 4 },
	})
}

func TestAnswerIsAwaitedByWhoeverLooks(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	m.down = true
	r := open(m)
	for _, look := range []func() error{
		func() error { return second(r.Allocate(t.Context(), owner, request())) },
		func() error { return second(r.Lookup(t.Context(), owner)) },
	} {
		err := look()
		g.Expect(err).To(MatchError("ipv6-" + owner.Hash() + " has not been answered within 1s: is the IPAM's controller running?"))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Ambiguous))
	}
	g.Expect(r.List(t.Context(), "garden-a")).To(BeEmpty(), "it holds nothing yet")
	m.down = false
	found, err := r.Lookup(t.Context(), owner)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(HaveLen(1))
	g.Expect(found[0].ID).To(Equal("ipv6-" + owner.Hash()))
	g.Expect(found[0].Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/64")))
	g.Expect(r.List(t.Context(), "garden-a")).To(Equal(found))
}

// A process has died before it could withdraw what was refused.
func TestWhatWillNotBeAnsweredIsWithdrawnByWhoeverLooks(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/64")
	r := open(m)
	other, err := r.Allocate(t.Context(), reservetest.Owner(2), request())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(m.Create(t.Context(), objectipam.Ask{
		Name: "ipv6-" + owner.Hash(), Annotations: map[string]string{objectipam.AnnotationOwner: owner.Key()}, Bits: 64, Pool: r.Pools[0],
	})).To(Succeed())
	g.Expect(r.Lookup(t.Context(), owner)).To(BeEmpty())
	g.Expect(m.stored).To(And(HaveLen(1), HaveKey(other.ID)))
}

func TestWhatIsBeingDeletedIsNeitherHeldNorFree(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	r := open(m)
	held, err := r.Allocate(t.Context(), owner, request())
	g.Expect(err).NotTo(HaveOccurred())
	m.down = true
	err = r.Release(t.Context(), held)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	for _, err := range []error{err, r.Claim(t.Context(), held), second(r.Lookup(t.Context(), owner)), second(r.Allocate(t.Context(), owner, request()))} {
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
		g.Expect(err).To(MatchError(held.ID + " is being deleted and still waits for the IPAM's controller"))
	}
	g.Expect(r.List(t.Context(), "garden-a")).To(BeEmpty())
	m.down = false
	g.Expect(r.Release(t.Context(), held)).To(Succeed())
}

func second[T any](_ T, err error) error { return err }

// The pool seems full, so the object is about to be withdrawn; at that moment it is answered.
func TestAnswerThatCrossesARefusalStands(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/64")
	r := open(m)
	other, err := r.Allocate(t.Context(), reservetest.Owner(2), request())
	g.Expect(err).NotTo(HaveOccurred())
	m.beforeDelete = func() {
		delete(m.stored, other.ID)
		m.work()
	}
	got, err := r.Allocate(t.Context(), owner, request())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Prefix).To(Equal(netip.MustParsePrefix("2001:db8::/64")))
	g.Expect(r.Lookup(t.Context(), owner)).To(HaveLen(1))
}

func TestWhatIsRefusedIsWithdrawn(t *testing.T) {
	g := NewWithT(t)
	r := open(newModel("2001:db8::/64"))
	_, err := r.Allocate(t.Context(), reservetest.Owner(2), request())
	g.Expect(err).NotTo(HaveOccurred())
	_, err = r.Allocate(t.Context(), owner, request())
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Exhausted))
	g.Expect(err).To(MatchError("no room for a /64 (IPv6, Global) for nodes: pool pool: 2001:db8::/64 is full"))
	g.Expect(r.Lookup(t.Context(), owner)).To(BeEmpty())
}

func TestEverythingThatIsFreeIsToBeAvoided(t *testing.T) {
	g := NewWithT(t)
	r := open(newModel("2001:db8::/56"))
	all := request()
	all.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2001:db8::/48"))
	_, err := r.Allocate(t.Context(), owner, all)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Exhausted))
	g.Expect(err).To(MatchError("no room for a /64 (IPv6, Global) for nodes: pool pool: every /64 that is free overlaps something that is in use elsewhere"))
	g.Expect(r.Lookup(t.Context(), owner)).To(BeEmpty())
}

func TestObjectOfAnotherIsLeftAlone(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	name := "ipv6-" + owner.Hash()
	m.stored[name] = &objectipam.Object{Name: name, UID: "1", Prefix: netip.MustParsePrefix("2001:db8::/64")}
	r := open(m)
	held := reservation.Allocation{Owner: owner, ID: name, Prefix: netip.MustParsePrefix("2001:db8::/64")}
	for _, err := range []error{
		r.Release(t.Context(), held), r.Claim(t.Context(), held), second(r.Lookup(t.Context(), owner)), second(r.Allocate(t.Context(), owner, request())),
	} {
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))
		g.Expect(err).To(MatchError(name + ` is marked as ""'s, not v1/garden-a/uid-1/nodes-ipv6/1's`))
	}
	g.Expect(r.List(t.Context(), "garden-a")).To(BeEmpty())
	g.Expect(m.stored).To(HaveLen(1))
}

func TestTheSameGivenTwiceIsGivenBack(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	r := open(m)
	r.Distrust = true
	m.stored["stranger"] = &objectipam.Object{Name: "stranger", UID: "1"}
	m.work()
	m.stored["stranger"].Prefix = netip.MustParsePrefix("2001:db8:0:1::/64")
	// The controller does not see the stranger's when it answers ours.
	g.Expect(m.Create(t.Context(), objectipam.Ask{
		Name: "ipv6-" + owner.Hash(), Annotations: map[string]string{objectipam.AnnotationOwner: owner.Key()}, Bits: 64,
		Pool: r.Pools[0],
	})).To(Succeed())
	m.stored["ipv6-"+owner.Hash()].Prefix = netip.MustParsePrefix("2001:db8:0:1::/64")
	_, err := r.Allocate(t.Context(), owner, request())
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError("2001:db8:0:1::/64 was given to stranger as well; it was given back"))
	g.Expect(m.stored).To(HaveLen(1))
}

func TestClaim(t *testing.T) {
	g := NewWithT(t)
	r := open(newModel("2001:db8::/56"))
	for _, c := range []struct {
		prefix, message string
		kind            reservation.Kind
	}{
		{"2001:db8:1::/64", "service cannot hold 2001:db8:1::/64: pool pool does not have it", reservation.Invalid},
		{"2001:db8::/80", "service cannot hold 2001:db8::/80: pool pool gives a /64", reservation.Invalid},
	} {
		err := r.Claim(t.Context(), reservation.Allocation{Owner: owner, Prefix: netip.MustParsePrefix(c.prefix)})
		g.Expect(reservation.KindOf(err)).To(Equal(c.kind))
		g.Expect(err).To(MatchError(c.message))
	}
	held, err := r.Allocate(t.Context(), owner, request())
	g.Expect(err).NotTo(HaveOccurred())
	wrong := held
	wrong.Prefix = netip.MustParsePrefix("2001:db8:0:5::/64")
	err = r.Claim(t.Context(), wrong)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))
	g.Expect(err).To(MatchError(held.ID + " holds 2001:db8::/64 for the owner, not 2001:db8:0:5::/64"))
	g.Expect(r.Release(t.Context(), wrong)).To(Succeed(), "that one is not held")
	g.Expect(r.Lookup(t.Context(), owner)).To(HaveLen(1))
}

// One of the pools was deleted: what lies in another is claimed all the same.
func TestClaimBesideAPoolThatIsGone(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	m.missing = "attic"
	r := open(m)
	r.Pools = append([]reservation.Pool{{Name: "attic", ID: "attic"}}, r.Pools...)
	g.Expect(r.Claim(t.Context(), reservation.Allocation{Owner: owner, Prefix: netip.MustParsePrefix("2001:db8:0:5::/64")})).To(Succeed())
	err := r.Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(2), Prefix: netip.MustParsePrefix("2001:db8:1::/64")})
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError("service cannot hold 2001:db8:1::/64: reading what is used of pool attic: there is no attic; pool pool does not have it"))
}

// The control plane has moved: what the new seed has taken over is published there, whatever the old one has read before.
func TestWhatAnotherSeedHasTakenOverIsNotReleased(t *testing.T) {
	toSeedB := map[string]string{objectipam.AnnotationSeed: "seed-b"}
	for what, takeOver := range map[string]func(*model, *objectipam.Object){
		"before the release": func(m *model, o *objectipam.Object) { m.annotate(o, toSeedB) },
		"in the middle of it": func(m *model, o *objectipam.Object) {
			m.beforeDelete = func() { m.annotate(o, toSeedB) }
		},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			m := newModel("2001:db8::/56")
			r := open(m)
			held, err := r.Allocate(t.Context(), owner, request())
			g.Expect(err).NotTo(HaveOccurred())
			takeOver(m, m.stored[held.ID])
			err = r.Release(t.Context(), held)
			g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
			g.Expect(err).To(MatchError(held.ID + " (2001:db8::/64) is not released: seed seed-b has taken it over"))
			held.Seed = "seed-b"
			g.Expect(r.Lookup(t.Context(), owner)).To(Equal([]reservation.Allocation{held}))
		})
	}
}

// What the service's controller writes meanwhile is no reason not to release.
func TestReleaseOfWhatChanges(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	r := open(m)
	held, err := r.Allocate(t.Context(), owner, request())
	g.Expect(err).NotTo(HaveOccurred())
	m.beforeDelete = func() { m.annotate(m.stored[held.ID], map[string]string{"controller": "was here"}) }
	g.Expect(r.Release(t.Context(), held)).To(Succeed())
	g.Expect(m.stored).To(BeEmpty())
}

// The old seed begins to delete the object at the moment when the new one takes it over.
func TestWhatIsDeletedMeanwhileIsNotTakenOver(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	held, err := open(m).Allocate(t.Context(), owner, request())
	g.Expect(err).NotTo(HaveOccurred())
	m.beforeAnnotate = func() { m.stored[held.ID].Deleting, m.stored[held.ID].ResourceVersion = true, m.next() }
	b := open(m)
	b.Home.Seed = "seed-b"
	err = b.Claim(t.Context(), held)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError(ContainSubstring("the object has been modified")))
}

// An API server that does not answer holds up nobody for ever.
func TestEveryCallHasAnEnd(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	r := open(m)
	g.Expect(second(r.Lookup(t.Context(), owner))).To(Succeed())
	g.Expect(second(r.List(t.Context(), "garden-a"))).To(Succeed())
	g.Expect(second(r.Space(t.Context(), r.Pools[0]))).To(Succeed())
	g.Expect(m.unbounded).To(BeEmpty())
}

// A service that does not look after the prefixes it has not chosen itself gives the same to a stranger, just then.
func TestClaimThatMeetsAnother(t *testing.T) {
	g := NewWithT(t)
	m := newModel("2001:db8::/56")
	wanted := netip.MustParsePrefix("2001:db8:0:5::/64")
	m.afterCreate = func(name string) {
		m.stored[name].Prefix = wanted
		m.stored["stranger"] = &objectipam.Object{Name: "stranger", UID: "1", Prefix: wanted}
	}
	err := open(m).Claim(t.Context(), reservation.Allocation{Owner: owner, Prefix: wanted})
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Conflict))
	g.Expect(err).To(MatchError("2001:db8:0:5::/64 is held by stranger"))
	g.Expect(m.stored).To(And(HaveLen(1), HaveKey("stranger")))
}

func TestRequestsThatCannotBeServed(t *testing.T) {
	g := NewWithT(t)
	r := open(newModel("2001:db8::/48"))
	short, unknown := request(), request()
	short.Bits, unknown.Pools = 48, []string{"attic"}
	_, err := r.Allocate(t.Context(), owner, short)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError("asking pool pool for its lengths: nothing larger than a /56"))
	_, err = r.Allocate(t.Context(), owner, unknown)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Invalid))
	g.Expect(err).To(MatchError(`service has no pool "attic"`))
}

func TestKindsOfErrors(t *testing.T) {
	name := "ipv6-1"
	quota := apierrors.NewForbidden(objects, name, errors.New("exceeded quota: ipam, requested: count/claims=1, used: 5, limited: 5"))
	ending := apierrors.NewForbidden(objects, name, errors.New("unable to create new content in namespace ipam because it is being terminated"))
	ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for what, c := range map[string]struct {
		err         error
		read, write reservation.Kind
	}{
		"401":                    {apierrors.NewUnauthorized("token expired"), reservation.Unauthorized, reservation.Unauthorized},
		"403":                    {apierrors.NewForbidden(objects, name, errors.New("no")), reservation.Unauthorized, reservation.Unauthorized},
		"quota":                  {quota, reservation.Quota, reservation.Quota},
		"namespace goes":         {ending, reservation.Retry, reservation.Retry},
		"404":                    {apierrors.NewNotFound(objects, name), reservation.Invalid, reservation.Invalid},
		"400":                    {apierrors.NewBadRequest("malformed"), reservation.Invalid, reservation.Invalid},
		"422":                    {apierrors.NewInvalid(schema.GroupKind{Kind: "Object"}, name, nil), reservation.Invalid, reservation.Invalid},
		"kind is not there":      {&meta.NoKindMatchError{}, reservation.Invalid, reservation.Invalid},
		"429":                    {apierrors.NewTooManyRequests("later", 1), reservation.Retry, reservation.Retry},
		"409":                    {apierrors.NewConflict(objects, name, errors.New("changed")), reservation.Retry, reservation.Retry},
		"503":                    {apierrors.NewServiceUnavailable("starting"), reservation.Retry, reservation.Retry},
		"504":                    {apierrors.NewTimeoutError("slow", 1), reservation.Retry, reservation.Ambiguous},
		"server gave up":         {apierrors.NewServerTimeout(objects, "create", 1), reservation.Retry, reservation.Ambiguous},
		"500":                    {apierrors.NewInternalError(errors.New("etcd")), reservation.Retry, reservation.Ambiguous},
		"connection":             {errors.New("connection reset"), reservation.Retry, reservation.Ambiguous},
		"classified by the type": {reservation.Errorf(reservation.Wait, "paused"), reservation.Wait, reservation.Wait},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			m := newModel("2001:db8::/56")
			r := open(m)
			g.Expect(r.Allocate(t.Context(), reservetest.Owner(2), request())).NotTo(BeZero())
			m.failing = c.err
			_, err := r.Lookup(t.Context(), owner)
			g.Expect(reservation.KindOf(err)).To(Equal(c.read))
			_, err = r.List(t.Context(), "garden-a")
			g.Expect(reservation.KindOf(err)).To(Equal(c.read), "a list that fails is not an empty one")
			g.Expect(strings.Count(err.Error(), c.err.Error())).To(Equal(1))
			m.failing, m.failingCreate = nil, c.err
			_, err = r.Allocate(t.Context(), owner, request())
			g.Expect(reservation.KindOf(err)).To(Equal(c.write))
		})
	}
}
