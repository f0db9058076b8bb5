// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/gcp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/computefake"
)

// memory is a journal that keeps nothing but the latest record.
type memory struct{ record reservation.Record }

func (m *memory) Save(_ context.Context, r reservation.Record) error {
	m.record = r
	return nil
}

// run is one run of the protocol for owner 1, as a controller does it again and again.
type run struct {
	*world
	*memory
	reserver *gcp.Reserver
}

func newRun(t *testing.T, subnetworks ...string) *run {
	w := newWorld(t)
	return &run{world: w, memory: &memory{record: reservation.Record{Phase: reservation.Pending}}, reserver: w.reserver(t, "seed-a", subnetworks...)}
}

func (r *run) protocol() *reservation.Protocol {
	owner := reservetest.Owner(1)
	owner.Attempt = 0
	return &reservation.Protocol{Reserver: r.reserver, Journal: r.memory, Owner: owner, Seed: "seed-a"}
}

func (r *run) ensure(t *testing.T) error {
	_, err := r.protocol().Ensure(t.Context(), r.record, request("pool-0"))
	return err
}

// holds checks that there is one address, and that it is the one that is bound.
func (r *run) holds(t *testing.T, p netip.Prefix) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.record.Phase).To(Equal(reservation.Bound))
	g.Expect(r.record.Prefix).To(Equal(p))
	g.Expect(lines(r.world)).To(HaveLen(1))
	g.Expect(r.Dump()).To(ContainSubstring(` "v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-a"`))
}

func kind(err error) reservation.Kind { return reservation.KindOf(err) }

func TestF03RequestLost(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Inject(computefake.Fault{Method: "addresses.insert", LoseRequest: true})
	err := r.ensure(t)
	g.Expect(kind(err)).To(Equal(reservation.Ambiguous))
	g.Expect(err).To(MatchError("asking gcp: reserving a /96 in pool pool-0 (" + west + "): no answer: EOF"))
	g.Expect(r.Dump()).To(BeEmpty())
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
}

func TestF04ReplyLost(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Inject(computefake.Fault{Method: "addresses.insert", LoseReply: true})
	g.Expect(kind(r.ensure(t))).To(Equal(reservation.Ambiguous))
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
	g.Expect(r.Calls("addresses.insert")).To(Equal(1), "it is found, not asked for again")
}

// The operation is still running when the next run looks and sees nothing: the ID of the request leads to the same operation.
func TestF04ReplyLostAndTheOperationRuns(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Steps(6)
	r.Inject(computefake.Fault{Method: "addresses.insert", LoseReply: true})
	g.Expect(kind(r.ensure(t))).To(Equal(reservation.Ambiguous))
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
	g.Expect(r.Calls("addresses.insert")).To(Equal(2))
}

// The same, and the service has forgotten the ID: then the name is taken, and the address found by it once it is there.
func TestF04ReplyLostAndTheRequestForgotten(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Steps(6)
	r.Inject(computefake.Fault{Method: "addresses.insert", LoseReply: true})
	g.Expect(kind(r.ensure(t))).To(Equal(reservation.Ambiguous))
	r.ForgetRequests()
	g.Expect(r.ensure(t)).To(MatchError("asking gcp: a /96 was reserved in pool pool-0 (" + west + ") but does not show up yet"))
	for range 3 {
		_ = r.ensure(t)
	}
	r.holds(t, first)
}

// An address without a prefix yet is not taken for none.
func TestF04StillReserving(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.ShowReserving()
	r.Steps(4)
	r.Inject(computefake.Fault{Method: "addresses.insert", LoseReply: true})
	g.Expect(kind(r.ensure(t))).To(Equal(reservation.Ambiguous))
	err := r.ensure(t)
	g.Expect(kind(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError(HaveSuffix(" is still being reserved")))
	g.Expect(r.reserver.List(t.Context(), "garden-a")).To(BeEmpty())
	for range 2 {
		_ = r.ensure(t)
	}
	r.holds(t, first)
	g.Expect(r.Calls("addresses.insert")).To(Equal(1))
}

// The service does not answer within the time that the caller has.
func TestF04NoAnswer(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Inject(computefake.Fault{Method: "addresses.insert", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := r.protocol().Ensure(ctx, r.record, request("pool-0"))
	g.Expect(kind(err)).To(Equal(reservation.Ambiguous))
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
}

// Nor does it within the time that the adapter gives it, if the caller has all the time in the world.
func TestF04NoAnswerForLong(t *testing.T) {
	for method, want := range map[string]reservation.Kind{"addresses.insert": reservation.Ambiguous, "addresses.get": reservation.Retry} {
		g := NewWithT(t)
		r := newRun(t, west)
		impatient := r.configured(t, gcp.Config{Transport: r.Transport(), Timeout: 200 * time.Millisecond}, "seed-a", west)
		patient := r.reserver
		r.reserver = impatient
		r.Inject(computefake.Fault{Method: method, Hang: true})
		err := r.ensure(t)
		g.Expect(kind(err)).To(Equal(want), method)
		g.Expect(err).To(MatchError(HaveSuffix(": no answer: context deadline exceeded")))
		r.reserver = patient
		g.Expect(r.ensure(t)).To(Succeed())
		r.holds(t, first)
	}
}

// An operation that takes longer than anybody waits is found later.
func TestF04OperationOutlastsPatience(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.reserver = r.configured(t, gcp.Config{Transport: r.Transport(), Patience: 50 * time.Millisecond}, "seed-a", west)
	r.Steps(1000000)
	err := r.ensure(t)
	g.Expect(kind(err)).To(Equal(reservation.Ambiguous))
	g.Expect(err).To(MatchError(HaveSuffix("the operation is still running")))
}

// What the service answers to a repeated request may be the end of an operation of long ago, whose address is gone.
func TestF04OperationOfLongAgo(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	got, err := r.reserver.Allocate(t.Context(), reservetest.Owner(1), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	r.Remove(got.ID)
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
}

// Operations that are done in the first answer are no other than those of long ago, by their looks.
func TestOperationsDoneAtOnce(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Steps(0)
	ends := computefake.Fault{Method: "addresses.insert", Operation: "QUOTA_EXCEEDED"}
	r.Inject(ends, ends)
	g.Expect(kind(r.ensure(t))).To(Equal(reservation.Quota))
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
	g.Expect(r.Calls("regionOperations.wait")).To(BeZero())
	record, err := r.protocol().BeginRelease(t.Context(), r.record)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.protocol().FinishRelease(t.Context(), record)).To(Succeed())
	g.Expect(r.Dump()).To(BeEmpty())
}

func TestF08TwoReplicas(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Steps(5)
	var wg sync.WaitGroup
	var bound [8]netip.Prefix
	for i := range bound {
		wg.Go(func() {
			replica := &run{world: r.world, memory: &memory{record: r.record}, reserver: r.world.reserver(t, "seed-a", west)}
			for range 20 {
				if replica.ensure(t) == nil {
					break
				}
			}
			bound[i] = replica.record.Prefix
		})
	}
	wg.Wait()
	g.Expect(bound).To(HaveEach(first))
	g.Expect(lines(r.world)).To(HaveLen(1))
}

func TestF09ListLags(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	r.Lag(10)
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
	g.Expect(r.Calls("addresses.list")).To(BeZero(), "an owner's address is read by its name")
	g.Expect(r.reserver.List(t.Context(), "garden-a")).To(BeEmpty())
}

func TestF10SecondPageFails(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	for i := range 5 {
		_, err := r.reserver.Allocate(t.Context(), reservetest.Owner(i), request("pool-0"))
		g.Expect(err).NotTo(HaveOccurred())
	}
	r.PageSize(2)
	g.Expect(r.reserver.List(t.Context(), "garden-a")).To(HaveLen(5))
	g.Expect(r.Calls("addresses.list")).To(Equal(3))

	r.Inject(computefake.Fault{Method: "addresses.list", Skip: 1, Status: 503, Reason: "backendError", Message: "Backend Error"})
	found, err := r.reserver.List(t.Context(), "garden-a")
	g.Expect(found).To(BeEmpty())
	g.Expect(kind(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError("listing the addresses of my-project in europe-west1: backendError: Backend Error"))
}

func TestF11Exhausted(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	r := w.reserver(t, "seed-a", west, north)
	w.Room(west, 1)
	w.Room(north, 1)
	for i, from := range []netip.Prefix{westRange, netip.MustParsePrefix("2600:1900:4150:c::/64")} {
		got, err := r.Allocate(t.Context(), reservetest.Owner(i), request("pool-0", "pool-1"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(from.Overlaps(got.Prefix)).To(BeTrue(), "the pools are asked in their order")
	}
	for range 2 { // the service remembers the request and its failure
		_, err := r.Allocate(t.Context(), reservetest.Owner(2), request("pool-0", "pool-1"))
		g.Expect(kind(err)).To(Equal(reservation.Exhausted))
		g.Expect(err).To(MatchError("no room for a /96 (IPv6, Global) for services: " +
			"reserving a /96 in pool pool-0 (" + west + "): ipSpaceExhausted: The operation ended with IP_SPACE_EXHAUSTED; add another subnetwork as a pool or release some; " +
			"reserving a /96 in pool pool-1 (" + north + "): ipSpaceExhausted: The operation ended with IP_SPACE_EXHAUSTED; add another subnetwork as a pool or release some"))
	}
	w.Room(north, 2)
	_, err := r.Allocate(t.Context(), reservetest.Owner(2), request("pool-0", "pool-1"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lines(w)).To(HaveLen(3))
}

func TestF12Quota(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west, north)
	r.Quota(0)
	err := r.ensure(t)
	g.Expect(kind(err)).To(Equal(reservation.Quota))
	g.Expect(err).To(MatchError("asking gcp: reserving a /96 in pool pool-0 (" + west + "): " +
		"quotaExceeded: Quota 'STATIC_EXTERNAL_IPV6_ADDRESS_RANGES' exceeded. Limit: 0.0 in region europe-west1; raise the quota of the region or release some"))
	r.Quota(1)
	r.Inject(computefake.Fault{Method: "addresses.insert", Operation: "QUOTA_EXCEEDED"}) // found out at the end only
	g.Expect(kind(r.ensure(t))).To(Equal(reservation.Quota))
	g.Expect(r.Dump()).To(BeEmpty())
	g.Expect(r.ensure(t)).To(Succeed())
	r.holds(t, first)
}

func TestF13Throttled(t *testing.T) {
	for _, answer := range []computefake.Fault{
		{Status: 403, Reason: "rateLimitExceeded", Message: "Rate Limit Exceeded"},
		{Status: 403, Reason: "userRateLimitExceeded", Message: "User Rate Limit Exceeded"},
		{Status: 429, Reason: "tooManyRequests", Message: "Too many"},
	} {
		for _, method := range []string{"subnetworks.get", "addresses.insert", "regionOperations.wait", "addresses.get"} {
			g := NewWithT(t)
			r := newRun(t, west)
			answer.Method = method
			r.Inject(answer)
			g.Expect(kind(r.ensure(t))).To(Equal(reservation.Retry), "%s %s", method, answer.Reason)
			g.Expect(r.ensure(t)).To(Succeed())
			r.holds(t, first)
		}
	}
}

func TestF16DeletedAndReplyLost(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	g.Expect(r.ensure(t)).To(Succeed())
	r.Inject(computefake.Fault{Method: "addresses.delete", LoseReply: true})
	record, err := r.protocol().BeginRelease(t.Context(), r.record)
	g.Expect(err).NotTo(HaveOccurred())
	err = r.protocol().FinishRelease(t.Context(), record)
	g.Expect(kind(err)).To(Equal(reservation.Retry))
	g.Expect(r.protocol().FinishRelease(t.Context(), record)).To(Succeed())
	g.Expect(r.Dump()).To(BeEmpty())
	g.Expect(r.Calls("addresses.delete")).To(Equal(1))
}

func TestF17InUse(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	g.Expect(r.ensure(t)).To(Succeed())
	record := r.record
	record.Phase = reservation.Releasing
	id := r.record.ID

	r.Use(id, "projects/my-project/zones/europe-west1-b/instances/vm-1")
	err := r.protocol().FinishRelease(t.Context(), record)
	g.Expect(kind(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError("releasing 2600:1900:4010:a::/96: " + id + " (2600:1900:4010:a::/96) is still in use by " +
		"projects/my-project/zones/europe-west1-b/instances/vm-1"))
	g.Expect(r.Calls("addresses.delete")).To(BeZero())

	// It came into use between the look and the call.
	r.Use(id, "")
	for _, fault := range []computefake.Fault{
		{Status: 400, Reason: "resourceInUseByAnotherResource", Message: "in use"}, {Operation: "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"},
	} {
		fault.Method = "addresses.delete"
		r.Inject(fault)
		g.Expect(kind(r.protocol().FinishRelease(t.Context(), record))).To(Equal(reservation.Retry))
		g.Expect(r.record).To(Equal(record))
		g.Expect(lines(r.world)).To(HaveLen(1))
	}
	g.Expect(r.protocol().FinishRelease(t.Context(), record)).To(Succeed())
	g.Expect(r.Dump()).To(BeEmpty())
}

// A bound range whose address was deleted by hand is reserved again, the very same one, or somebody else has it and that is said.
func TestF19DeletedByHand(t *testing.T) {
	g := NewWithT(t)
	r := newRun(t, west)
	g.Expect(r.ensure(t)).To(Succeed())
	held := reservation.Allocation{Owner: reservetest.Owner(1), ID: r.record.ID, Prefix: r.record.Prefix}

	r.Remove(held.ID)
	g.Expect(r.reserver.Lookup(t.Context(), held.Owner)).To(BeEmpty())
	g.Expect(r.reserver.Claim(t.Context(), held)).To(Succeed())
	r.holds(t, first)

	r.Remove(held.ID)
	other, err := r.reserver.Allocate(t.Context(), reservetest.Owner(2), request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other.Prefix).To(Equal(held.Prefix), "the service hands out at once what it gets back")
	err = r.reserver.Claim(t.Context(), held)
	g.Expect(kind(err)).To(Equal(reservation.Conflict))
	g.Expect(err).To(MatchError("claiming 2600:1900:4010:a::/96: 2600:1900:4010:a::/96 in pool pool-0 (" + west + ") is in use: " +
		"ipInUseByAnotherResource: The operation ended with IP_IN_USE_BY_ANOTHER_RESOURCE"))
}

// A shoot that is created again under its name is another owner, while the range of the former one is still there.
func TestF20ShootCreatedAgain(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	r := w.reserver(t, "seed-a", west)
	former, again := reservetest.Owner(1), reservetest.Owner(1)
	again.ShootUID = "uid-1-again"
	a, err := r.Allocate(t.Context(), former, request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	b, err := r.Allocate(t.Context(), again, request("pool-0"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]netip.Prefix{a.Prefix, b.Prefix}).To(Equal([]netip.Prefix{first, second}))
	g.Expect(r.Release(t.Context(), a)).To(Succeed())
	g.Expect(r.Lookup(t.Context(), again)).To(HaveLen(1))
}
