// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"net/netip"
	"net/url"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/reservetest"
	"github.com/gardener/gardener-extension-networking-ipv6/test/ipam/ec2fake"
)

// The process dies after EC2 has answered and before it is stored: the next one finds the allocation.
func TestF02AndF05ProcessDies(t *testing.T) {
	for _, point := range []string{reservation.AfterAllocating, reservation.AfterAllocate, reservation.BeforeBind} {
		t.Run(point, func(t *testing.T) {
			g, s := NewWithT(t), newShoot(t)
			s.protocol.Failpoint = func(at string) {
				if at == point {
					panic("the process dies")
				}
			}
			g.Expect(func() { _ = s.ensure(t, request(64)) }).To(PanicWith("the process dies"))
			s.protocol.Failpoint = nil
			g.Expect(s.ensure(t, request(64))).To(Succeed())
			s.expectOne(g)
		})
	}
}

func TestF03RequestIsNeverSent(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostRequest: true})...)
	err := s.ensure(t, request(64))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Ambiguous), "nobody can tell that it never arrived: %v", err)
	g.Expect(s.Pending()).To(BeZero())
	g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.expectOne(g)
}

func TestF04ReplyIsLost(t *testing.T) {
	t.Run("once: the SDK repeats it with the same client token", func(t *testing.T) {
		g, s := NewWithT(t), newShoot(t)
		s.Inject(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})
		g.Expect(s.ensure(t, request(64))).To(Succeed())
		g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(2))
		s.expectOne(g)
	})
	t.Run("always: the next run finds it", func(t *testing.T) {
		g, s := NewWithT(t), newShoot(t)
		s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})...)
		g.Expect(reservation.KindOf(s.ensure(t, request(64)))).To(Equal(reservation.Ambiguous))
		g.Expect(s.Prefixes(s.pool)).To(HaveLen(1))
		g.Expect(s.ensure(t, request(64))).To(Succeed())
		g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(attempts), "it was not asked for again")
		s.expectOne(g)
	})
	t.Run("always, and the list lags: the client token brings it back", func(t *testing.T) {
		g, s := NewWithT(t), newShoot(t)
		s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})...)
		g.Expect(reservation.KindOf(s.ensure(t, request(64)))).To(Equal(reservation.Ambiguous))
		s.Lag(1)
		g.Expect(s.ensure(t, request(64))).To(Succeed())
		g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(attempts + 1))
		g.Expect(s.record.Attempt).To(Equal(1))
		s.expectOne(g)
	})
	t.Run("always, the list lags, and it was the last room", func(t *testing.T) {
		g, s := NewWithT(t), newShoot(t, "2600:1f00::/64")
		want := request(64)
		want.Avoid = reservation.AvoidAll()
		s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", When: isReal, LostReply: true})...)
		g.Expect(reservation.KindOf(s.ensure(t, want))).To(Equal(reservation.Ambiguous))
		s.Lag(1)
		g.Expect(s.ensure(t, want)).To(Succeed())
		s.expectOne(g)
	})
	t.Run("of a server that fails", func(t *testing.T) {
		g, s := NewWithT(t), newShoot(t)
		s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", Status: 500, Code: "InternalError", Message: "An internal error has occurred"})...)
		g.Expect(reservation.KindOf(s.ensure(t, request(64)))).To(Equal(reservation.Ambiguous))
		g.Expect(s.ensure(t, request(64))).To(Succeed())
		s.expectOne(g)
	})
}

// Owner and seed are written by the call that allocates: there is no moment without them.
func TestF06MarkIsPartOfTheAllocation(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})...)
	g.Expect(s.ensure(t, request(64))).NotTo(Succeed())
	g.Expect(s.Dump()).To(Equal(s.pool + " 2600:1f00::/64 custom v1/garden-a/uid-1/nodes-ipv6/1 seed=seed-1\n"))
	g.Expect(s.Tags(netip.MustParsePrefix("2600:1f00::/64"))).To(HaveLen(2))
}

func TestF07StatusConflict(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.conflict = func(r reservation.Record) bool { return r.Phase == reservation.Bound }
	g.Expect(s.ensure(t, request(64))).To(MatchError(ContainSubstring("the object has been modified")))
	s.conflict = nil
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(1))
	s.expectOne(g)
}

func TestF08TwoReplicasAtOnce(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	other := s.reserver(t, garden)
	s.Inject(ec2fake.Fault{Action: "AllocateIpamPoolCidr", Before: func() {
		_, err := other.Allocate(t.Context(), reservetest.Owner(1), request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}})
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.expectOne(g)
}

// After an allocation the list does not show it for a while. Nothing else is allocated meanwhile: what EC2 answered is asked for
// again, is not to be had, and so must be there.
func TestF09ListLags(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Inject(ec2fake.Fault{Action: "AllocateIpamPoolCidr", Before: func() { s.Lag(4) }})
	for _, says := range []string{"2600:1f00::/64 was allocated but does not show up in vpc-ipam yet", "nobody is seen to hold it"} {
		err := s.ensure(t, request(64))
		g.Expect(err).To(MatchError(ContainSubstring(says)))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	}
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(2))
	s.expectOne(g)

	// A prefix that is released still shows up: it is not released twice, and not given up.
	s.Lag(0)
	s.Inject(ec2fake.Fault{Action: "ReleaseIpamPoolAllocation", Before: func() { s.Lag(3) }})
	err := s.remove(t)
	g.Expect(err).To(MatchError("vpc-ipam still holds 2600:1f00::/64 after its release"))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
	g.Expect(s.remove(t)).To(Succeed())
}

// A list that is not complete is none: what the second page would have shown must not be allocated again.
func TestF10SecondPageFails(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	for i := range 7 {
		_, err := s.protocol.Reserver.Allocate(t.Context(), reservetest.Owner(10+i), request(64))
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := s.protocol.Reserver.Allocate(t.Context(), reservetest.Owner(1), request(64))
	g.Expect(err).NotTo(HaveOccurred())
	before := s.Calls("AllocateIpamPoolCidr")

	second := func(form url.Values) bool { return form.Has("NextToken") }
	s.Inject(repeat(ec2fake.Fault{Action: "GetIpamPoolAllocations", When: second, Status: 503, Code: "Unavailable", Message: "The server is overloaded."})...)
	err = s.ensure(t, request(64))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError(ContainSubstring("listing the allocations of pool main (" + s.pool + "): AWS says Unavailable: The server is overloaded")))
	g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(before))
	g.Expect(s.record.Phase).To(Equal(reservation.Allocating))

	s.Inject(repeat(ec2fake.Fault{Action: "GetIpamPoolAllocations", When: second, LostReply: true})...)
	listed, err := s.protocol.Reserver.List(t.Context(), "garden-a")
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(listed).To(BeEmpty(), "not the first page alone")

	g.Expect(s.ensure(t, request(64))).To(Succeed())
	g.Expect(s.record.Prefix.String()).To(Equal("2600:1f00:0:7::/64"), "it stands on the second page")
	g.Expect(s.Prefixes(s.pool)).To(HaveLen(8))
}

func TestF11Exhausted(t *testing.T) {
	g, s := NewWithT(t), newShoot(t, "2600:1f00::/64")
	s.Occupy(s.pool, "2600:1f00::/64", "vpc-0123", "")
	err := s.ensure(t, request(64))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Exhausted))
	g.Expect(err).To(MatchError("asking vpc-ipam: no room for a /64 (IPv6, Global) for services: allocating a /64 in pool main (" + s.pool + "): " +
		"AWS says InvalidParameterValue: The allocation size is too big for the pool; provision another CIDR to the pool, or release some"))

	t.Run("one pool: the next is asked", func(t *testing.T) {
		g := NewWithT(t)
		second := s.AddPool("2600:1f11::/60")
		s.protocol.Reserver = s.reserver(t, garden, poolOf("second", second))
		g.Expect(s.ensure(t, request(64, "main", "second"))).To(Succeed())
		g.Expect(s.record.Prefix.String()).To(Equal("2600:1f11::/64"))
	})
}

func TestF12Quota(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Occupy(s.pool, "2600:1f00:0:300::/56", "vpc-0123", "")
	s.SetQuota(s.pool, 1)
	err := s.ensure(t, request(64))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Quota))
	g.Expect(err).To(MatchError(ContainSubstring("AWS says IpamPoolAllocationLimitExceeded: You have reached the limit of 1 allocations; raise the quota in AWS's Service Quotas")))
	g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(1), "it is not repeated")
}

func TestF13Throttled(t *testing.T) {
	t.Run("the SDK waits and repeats", func(t *testing.T) {
		g, s := NewWithT(t), newShoot(t)
		s.Inject(ec2fake.Throttled("AllocateIpamPoolCidr"), ec2fake.Throttled("AllocateIpamPoolCidr"), ec2fake.Throttled("GetIpamPoolAllocations"))
		g.Expect(s.ensure(t, request(64))).To(Succeed())
		g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(3))
		s.expectOne(g)
	})
	t.Run("for long: it is tried again later, and nothing is wrong", func(t *testing.T) {
		g, s := NewWithT(t), newShoot(t)
		s.Inject(repeat(ec2fake.Throttled("AllocateIpamPoolCidr"))...)
		err := s.ensure(t, request(64))
		g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
		g.Expect(err).To(MatchError(ContainSubstring("AWS says RequestLimitExceeded: Request limit exceeded")))
		g.Expect(s.ensure(t, request(64))).To(Succeed())
		s.expectOne(g)
	})
}

// The shoot is deleted while nobody knows what became of the allocation.
func TestF15DeletedWhileAllocating(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})...)
	g.Expect(s.ensure(t, request(64))).NotTo(Succeed())
	g.Expect(s.Prefixes(s.pool)).To(HaveLen(1))
	g.Expect(s.remove(t)).To(Succeed())
	g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
}

func TestF16ReplyOfTheReleaseIsLost(t *testing.T) {
	for name, times := range map[string]int{"once": 1, "always": attempts} {
		t.Run(name, func(t *testing.T) {
			g, s := NewWithT(t), newShoot(t)
			g.Expect(s.ensure(t, request(64))).To(Succeed())
			s.Inject(repeat(ec2fake.Fault{Action: "ReleaseIpamPoolAllocation", LostReply: true})[:times]...)
			err := s.remove(t)
			g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
			if times < attempts {
				g.Expect(err).NotTo(HaveOccurred(), "the repeated call says that there is nothing any more, which is success")
				return
			}
			g.Expect(reservation.KindOf(err)).To(Equal(reservation.Ambiguous))
			g.Expect(s.remove(t)).To(Succeed())
		})
	}
	t.Run("and what the list does not show yet is released by its ID", func(t *testing.T) {
		g, s := NewWithT(t), newShoot(t)
		got, err := s.protocol.Reserver.Allocate(t.Context(), reservetest.Owner(1), request(64))
		g.Expect(err).NotTo(HaveOccurred())
		s.Lag(1)
		g.Expect(s.protocol.Reserver.Release(t.Context(), got)).To(Succeed())
		g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
	})
}

func TestF17InUse(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.Inject(ec2fake.Fault{Action: "ReleaseIpamPoolAllocation", Status: 400, Code: "DependencyViolation", Message: "The allocation is in use."})
	err := s.remove(t)
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(s.Prefixes(s.pool)).To(HaveLen(1))
	g.Expect(s.remove(t)).To(Succeed())
	g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
}

// The process dies when the prefix is released and before that is stored: releasing once more is success.
func TestF18ReleasedAgain(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	bound := s.record
	g.Expect(s.remove(t)).To(Succeed())
	g.Expect(s.remove(t)).To(Succeed())
	g.Expect(s.protocol.Reserver.Release(t.Context(), reservation.Allocation{Owner: reservetest.Owner(1), ID: bound.ID, Prefix: bound.Prefix})).To(Succeed())
	g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
}

// A prefix that somebody has released by hand is missing in the list; releasing it once more is success.
func TestF19DeletedByHand(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.Vanish(s.pool, "2600:1f00::/64")
	g.Expect(s.protocol.Reserver.Lookup(t.Context(), reservetest.Owner(1))).To(BeEmpty())

	// What is published stays: the same prefix is claimed again, under a new ID, and released in the end.
	g.Expect(s.protocol.Reserver.Claim(t.Context(), reservation.Allocation{Owner: reservetest.Owner(1), ID: s.record.ID, Prefix: s.record.Prefix})).To(Succeed())
	s.expectOne(g)
	g.Expect(s.remove(t)).To(Succeed())
	g.Expect(s.Prefixes(s.pool)).To(BeEmpty())
}

// A shoot that is created again under its name has another UID: another token, another prefix.
func TestF20CreatedAgain(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	again := &shoot{account: s.account}
	again.protocol = reservation.Protocol{Reserver: s.protocol.Reserver, Journal: again, Owner: reservetest.Owner(2)}
	g.Expect(again.ensure(t, request(64))).To(Succeed())
	g.Expect([]string{s.record.Prefix.String(), again.record.Prefix.String()}).To(Equal([]string{"2600:1f00::/64", "2600:1f00:0:1::/64"}))
	g.Expect(s.remove(t)).To(Succeed())
	g.Expect(s.Prefixes(s.pool)).To(Equal([]netip.Prefix{again.record.Prefix}))
}

// An old backup of etcd forgets that the reservation was bound: the prefix is found, not taken anew.
func TestF21OldBackup(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.record = reservation.Record{}
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	g.Expect(s.Calls("AllocateIpamPoolCidr")).To(Equal(1))
	s.expectOne(g)
}

// The control plane moves while an allocation is under way, and the list does not show it yet: EC2 refuses the token, for the
// mark of the other seed is another parameter. So nothing is allocated twice; the new seed waits, finds it and takes it over.
func TestF23MigrationWhileAllocating(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})...)
	g.Expect(s.ensure(t, request(64))).NotTo(Succeed())

	s.protocol.Reserver, s.protocol.Seed = s.reserver(t, reservation.Home{GardenID: "garden-a", Seed: "seed-2"}), "seed-2"
	s.Lag(1)
	err := s.ensure(t, request(64))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Ambiguous))
	g.Expect(err).To(MatchError(ContainSubstring("IdempotentParameterMismatch")))
	g.Expect(s.Dump()).To(HaveSuffix(" seed=seed-1\n"))
	g.Expect(s.ensure(t, request(64))).To(Succeed())
	s.expectOne(g)
	g.Expect(s.Dump()).To(HaveSuffix(" seed=seed-2\n"))
}

// Another size is asked for while the first allocation is under way: it is given back, and the next attempt has a token of its
// own.
func TestF24SizeChanged(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	s.Inject(repeat(ec2fake.Fault{Action: "AllocateIpamPoolCidr", LostReply: true})...)
	g.Expect(s.ensure(t, request(64))).NotTo(Succeed())
	err := s.ensure(t, request(56))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(s.ensure(t, request(56))).To(Succeed())
	g.Expect(s.record.Attempt).To(Equal(2))
	g.Expect(s.record.Prefix.Bits()).To(Equal(56))
	s.expectOne(g)
}

// A preview can be overtaken: the protocol sees it and tries again.
func TestPreviewIsOvertaken(t *testing.T) {
	g, s := NewWithT(t), newShoot(t)
	want := request(64)
	want.Avoid = reservation.AvoidAll(netip.MustParsePrefix("2600:1f00:0:1::/64"))
	s.Inject(ec2fake.Fault{Action: "AllocateIpamPoolCidr", When: isReal, Before: func() { s.Occupy(s.pool, "2600:1f00::/64", "vpc-1", "") }})
	err := s.ensure(t, want)
	g.Expect(err).To(MatchError("vpc-ipam gave a prefix that is of no use: 2600:1f00:0:1::/64 overlaps 2600:1f00:0:1::/64, which is in use elsewhere"))
	g.Expect(s.ensure(t, want)).To(Succeed())
	g.Expect(s.record.Prefix.String()).To(Equal("2600:1f00:0:2::/64"))
	g.Expect(s.Prefixes(s.pool)).To(HaveLen(2))
}
