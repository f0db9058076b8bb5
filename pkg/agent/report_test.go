// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// newsroom is a Reporter between fakes: sources by the interface they are on, and a cluster that is one node.
type newsroom struct {
	*Reporter
	mu       sync.Mutex
	node     Node
	sources  map[string]*nodesource.Fake
	opened   []string
	openErr  error
	writeErr error
	writes   int
	events   []string
	released []string
}

// lease is a source that can be given back.
type lease struct {
	*nodesource.Fake
	name string
	room *newsroom
}

func (l lease) ReleaseOnClose() { l.room.released = append(l.room.released, l.name) }

var (
	metadataFor = map[string]string{"cloud": "a"}
	mixed       = []agentconfig.NodePrefixSource{
		{Source: agentconfig.SourceMetadata, Provider: "aws", MatchLabels: metadataFor},
		{Source: agentconfig.SourcePool, MatchLabels: map[string]string{"cloud": "none"}},
		{Source: agentconfig.SourceDHCPv6PD, Interface: "eth1"},
	}
)

// report runs f beside a Reporter, in a time of its own.
func report(t *testing.T, labels map[string]string, f func(g *WithT, r *newsroom)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		room := &newsroom{node: Node{Name: "n", Labels: labels, Annotations: map[string]string{"kept": "x"}}, sources: map[string]*nodesource.Fake{}}
		for _, name := range []string{"Metadata", "DHCPv6PD"} {
			room.sources[name] = nodesource.NewFake()
		}
		room.Reporter = NewReporter(ReporterOptions{
			Sources: mixed, Open: room.open, Annotate: room.annotate, Recorder: room, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = room.Run(ctx)
		}()
		defer func() {
			stop()
			<-done
		}()
		f(NewWithT(t), room)
	})
}

// set changes what the Reporter finds.
func (r *newsroom) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *newsroom) open(_ context.Context, s agentconfig.NodePrefixSource, _ Node) (nodesource.Source, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.openErr != nil {
		return nil, r.openErr
	}
	r.opened = append(r.opened, string(s.Source))
	return lease{r.sources[string(s.Source)], string(s.Source), r}, nil
}

func (r *newsroom) annotate(_ context.Context, annotations map[string]*string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes++
	if r.writeErr != nil {
		return r.writeErr
	}
	r.node.Annotations = maps.Clone(r.node.Annotations)
	for k, v := range annotations {
		delete(r.node.Annotations, k)
		if v != nil {
			r.node.Annotations[k] = *v
		}
	}
	return nil
}

func (r *newsroom) Warn(reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, reason+": "+message)
}

// tick lets the cluster tell of the node, and time go by.
func (r *newsroom) tick(d time.Duration) {
	r.mu.Lock()
	own := r.node
	r.mu.Unlock()
	r.Observe(&own)
	time.Sleep(d) // of the bubble's own time
	synctest.Wait()
}

// told is what the cluster knows.
func (r *newsroom) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.node.Annotations[nodeprefix.AnnotationReportedPrefix] + " from " + r.node.Annotations[nodeprefix.AnnotationPrefixSource]
}

func from(origin string, texts ...string) (ps []nodesource.Prefix) {
	for _, text := range texts {
		p, deprecated := strings.CutPrefix(text, "deprecated ")
		ps = append(ps, nodesource.Prefix{Prefix: netip.MustParsePrefix(p), Deprecated: deprecated, Origin: origin})
	}
	return ps
}

func TestReporterTells(t *testing.T) {
	report(t, nil, func(g *WithT, r *newsroom) {
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal(" from "), "a source has a while to find the first prefix")
		r.sources["DHCPv6PD"].Set(from("DHCPv6 on eth1", "2001:db8:1::/64", "deprecated 2001:db8::/64"), nil)
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal("2001:db8:1::/64,2001:db8::/64 from DHCPv6 on eth1; deprecated: 2001:db8::/64"))
		g.Expect(r.node.Annotations).To(HaveKeyWithValue("kept", "x"))
		g.Expect(r.events).To(Equal([]string{"NodePrefixDeprecated: whoever gives the node its prefix asks to leave 2001:db8::/64 (DHCPv6 on eth1); " +
			"if the node's pods have addresses of it, replace the node"}))
		r.sources["DHCPv6PD"].Set(from("DHCPv6 on eth1", "2001:db8:1::/64"), nil)
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal("2001:db8:1::/64 from DHCPv6 on eth1"))
		for range 60 {
			r.tick(time.Minute)
		}
		g.Expect(r.writes).To(Equal(2), "only what changed")
		g.Expect(testutil.ToFloat64(r.metrics.up.WithLabelValues("DHCPv6PD"))).To(Equal(1.0))
		g.Expect(testutil.ToFloat64(r.metrics.writes.WithLabelValues("success"))).To(Equal(2.0))
	})
}

func TestReporterSaysWhyThereIsNone(t *testing.T) {
	report(t, nil, func(g *WithT, r *newsroom) {
		r.tick(9 * time.Second)
		g.Expect(r.events).To(BeEmpty())
		r.tick(2 * time.Second)
		g.Expect(r.told()).To(Equal(" from the fake was not told any: the node has no prefix there"))
		g.Expect(r.events).To(Equal([]string{"NodePrefixNone: the fake was not told any: the node has no prefix there"}))
		for i := range 20 {
			r.sources["DHCPv6PD"].Set(nil, fmt.Errorf("timeout %d", i))
			r.tick(time.Second)
		}
		g.Expect(r.told()).To(Equal(" from timeout 0"), "words that differ every time are not told every time")
		g.Expect(r.writes).To(BeNumerically("<=", 3), "one more if a view from before the first write came after it")
		g.Expect(r.events[1:]).To(Equal([]string{"NodePrefixUnknown: timeout 0"}))
		r.tick(4 * time.Minute)
		g.Expect(r.told()).To(Equal(" from timeout 19"))
	})
}

func TestReporterKeepsWhatIsKnown(t *testing.T) {
	report(t, nil, func(g *WithT, r *newsroom) {
		// The agent starts anew, and nobody can be asked.
		r.set(func() {
			r.node.Annotations = map[string]string{nodeprefix.AnnotationReportedPrefix: "2001:db8:1::/64", nodeprefix.AnnotationPrefixSource: "DHCPv6 on eth1"}
		})
		r.sources["DHCPv6PD"].Set(nil, errors.New("no server"))
		r.tick(time.Minute)
		g.Expect(r.told()).To(Equal("2001:db8:1::/64 from DHCPv6 on eth1"))
		g.Expect(r.events).To(Equal([]string{"NodePrefixSourceSilent: no server; the node is taken to have 2001:db8:1::/64 still"}))
		g.Expect(r.writes).To(BeZero())
		g.Expect(testutil.ToFloat64(r.metrics.up.WithLabelValues("DHCPv6PD"))).To(BeZero())

		lost := &nodesource.LostError{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Since: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Reason: "nobody renewed it"}
		r.sources["DHCPv6PD"].Set(nil, fmt.Errorf("DHCPv6 on eth1: %w", lost))
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal(" from DHCPv6 on eth1: prefix 2001:db8:1::/64 is lost since 2026-11-21T12:00:00Z: nobody renewed it"))
		g.Expect(r.events[1:]).To(Equal([]string{
			"NodePrefixLost: DHCPv6 on eth1: prefix 2001:db8:1::/64 is lost since 2026-11-21T12:00:00Z: nobody renewed it; pods keep their addresses of it",
		}))
	})
}

func TestReporterRetries(t *testing.T) {
	report(t, nil, func(g *WithT, r *newsroom) {
		r.set(func() { r.openErr = errors.New("interface \"eth1\": no such network interface") })
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal(` from open the source DHCPv6PD: interface "eth1": no such network interface`))
		r.set(func() { r.openErr, r.writeErr = nil, errors.New("forbidden") })
		r.sources["DHCPv6PD"].Set(from("DHCPv6 on eth1", "2001:db8:1::/64"), nil)
		r.tick(5 * time.Minute)
		g.Expect(r.writes).To(And(BeNumerically(">", 5), BeNumerically("<", 20)), "with a backoff")
		r.set(func() { r.writeErr = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		g.Expect(r.told()).To(Equal("2001:db8:1::/64 from DHCPv6 on eth1"))
	})
}

// The agent looks at its node whenever another one comes or goes. What the API server refuses must not be tried again as often.
func TestReporterRetriesNoFasterWhereMuchHappens(t *testing.T) {
	report(t, nil, func(g *WithT, r *newsroom) {
		r.sources["DHCPv6PD"].Set(from("DHCPv6 on eth1", "2001:db8:1::/64"), nil)
		r.set(func() { r.writeErr = errors.New("forbidden") })
		for range 600 {
			r.tick(100 * time.Millisecond)
		}
		g.Expect(r.writes).To(BeNumerically("<", 10), "at once, then after 1, 2, 4, 8, 16, 32 seconds")
	})
}

func TestReporterWritesAgainWhatSomebodyRemoved(t *testing.T) {
	report(t, nil, func(g *WithT, r *newsroom) {
		r.sources["DHCPv6PD"].Set(from("DHCPv6 on eth1", "2001:db8:1::/64"), nil)
		r.tick(time.Second)
		g.Expect(r.annotate(context.Background(), statement{}.annotations())).To(Succeed())
		g.Expect(r.told()).To(Equal(" from "))
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal("2001:db8:1::/64 from DHCPv6 on eth1"))
	})
}

func TestReporterGoesByLabels(t *testing.T) {
	report(t, metadataFor, func(g *WithT, r *newsroom) {
		r.sources["Metadata"].Set(from("aws metadata", "2001:db8:a::/80"), nil)
		r.sources["DHCPv6PD"].Set(from("DHCPv6 on eth1", "2001:db8:1::/64"), nil)
		r.set(func() { r.node.LabelsPending, r.node.Labels = true, nil })
		r.tick(time.Hour)
		g.Expect(r.opened).To(BeEmpty(), "labels are still to come")
		r.set(func() { r.node.LabelsPending, r.node.Labels = false, metadataFor })
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal("2001:db8:a::/80 from aws metadata"))
		r.set(func() { r.node.Labels = map[string]string{"cloud": "b"} })
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal("2001:db8:1::/64 from DHCPv6 on eth1"))
		g.Expect(r.opened).To(Equal([]string{"Metadata", "DHCPv6PD"}))
		g.Expect(testutil.CollectAndCount(r.metrics.up)).To(Equal(1), "nothing is told of the one that is not asked any more")
		r.set(func() { r.node.Labels = map[string]string{"cloud": "none"} })
		r.tick(time.Second)
		g.Expect(r.told()).To(Equal(" from "), "the node has its prefix from the pool")
		g.Expect(slices.Collect(maps.Keys(r.node.Annotations))).To(ConsistOf("kept"))
		g.Expect(r.released).To(BeEmpty())
	})
}

// TestReporterGivesBack the prefix of a node that is deleted, and of no other.
func TestReporterGivesBack(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(r *newsroom)
		want []string
	}{
		{"the agent stops", func(*newsroom) {}, nil},
		{"the node's object is being deleted", func(r *newsroom) { r.set(func() { r.node.Deleting = true }); r.tick(time.Second) }, []string{"DHCPv6PD"}},
		{"the node's object is gone", func(r *newsroom) { r.Observe(nil) }, []string{"DHCPv6PD"}},
		{"the node's object came back", func(r *newsroom) { r.Observe(nil); r.tick(time.Second) }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var room *newsroom
			report(t, nil, func(_ *WithT, r *newsroom) {
				room = r
				r.sources["DHCPv6PD"].Set(from("DHCPv6 on eth1", "2001:db8:1::/64"), nil)
				r.tick(time.Second)
				tc.end(r)
			})
			NewWithT(t).Expect(room.released).To(Equal(tc.want))
		})
	}
}

func TestNoReporterWithoutSources(t *testing.T) {
	g := NewWithT(t)
	r := NewReporter(ReporterOptions{Sources: []agentconfig.NodePrefixSource{{Source: agentconfig.SourcePool}, {Source: agentconfig.SourceCustom}}})
	g.Expect(r).To(BeNil())
	r.Observe(&Node{})
	g.Expect(r.Run(t.Context())).To(Succeed())
	g.Expect(r.collectors()).To(BeEmpty())
}

func TestSayIsShort(t *testing.T) {
	g := NewWithT(t)
	g.Expect(cut("grün", 3)).To(Equal("gr…"), "half a character is no text")
	g.Expect(cut("grün", 5)).To(Equal("grün"))
	s, p := say(statement{}, nil, errors.New(strings.Repeat("ü\n", 5000)))
	g.Expect(len(s.Source)).To(BeNumerically("<", 520))
	g.Expect(len(p.Message)).To(BeNumerically("<", 520))
	s, _ = say(statement{}, from("x", "2001:db8::/64", "10.0.0.0/24"), nil)
	g.Expect(s).To(Equal(statement{"2001:db8::/64", "x"}), "IPv4 ranges come from the pool")
}

func TestRenewed(t *testing.T) {
	g := NewWithT(t)
	at := func(d time.Duration) []nodesource.Prefix {
		return []nodesource.Prefix{{Prefix: netip.MustParsePrefix("2001:db8::/64"), ValidUntil: time.Unix(1000, 0).Add(d)}}
	}
	g.Expect(renewed(nil, at(0))).To(BeFalse())
	g.Expect(renewed(at(0), at(time.Second))).To(BeFalse())
	g.Expect(renewed(at(0), at(time.Minute))).To(BeTrue())
	g.Expect(renewed(at(time.Minute), at(0))).To(BeFalse())
}
