// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/utils/kubernetes/health"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// askFor changes the Shoot's NetworkConfig.
func (s *shoot) askFor(change func(*v1alpha1.NetworkConfig)) {
	config := &v1alpha1.NetworkConfig{}
	s.Expect(json.Unmarshal(s.shoot.Spec.Networking.ProviderConfig.Raw, config)).To(Succeed())
	change(config)
	raw, err := json.Marshal(config)
	s.Expect(err).NotTo(HaveOccurred())
	s.shoot.Spec.Networking.ProviderConfig.Raw = raw
	s.syncCluster()
}

// A Shoot names a backend that the operator keeps to himself, is told so, names another, and gets it: as long as nothing is bound
// the reservation is made anew.
func TestShootNamesABackend(t *testing.T) {
	w := newWorld(t)
	c := newCloud("2001:db8:c::/48", "good")
	startHere(t, settings{Namespace: w.namespace, Seed: "seed-a", Pools: poolOf("public", "2001:db8::/48")}, nil, c.backend("seed-a", 48))
	s := w.newShootIn(w.shootNamespace(), demo)
	s.setCredentials(map[string]string{"token": "good"})
	s.askFor(func(config *v1alpha1.NetworkConfig) { config.IPAM = &v1alpha1.IPAM{Backend: new("pool")} })
	s.createInfrastructure(nil)
	s.Eventually(s.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	infra := s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
	w.Expect(infra.Status.LastError.Codes).To(ConsistOf(gardencorev1beta1.ErrorConfigurationProblem))
	w.Expect(infra.Status.LastError.Description).To(ContainSubstring("no IPAM backend serves a /64 (IPv6, Global) for nodes: " +
		"pool: pool public: shoots may not name it (shootsMayName); fakecloud: it was not asked for"))
	uid := s.get("nodes-ipv6").UID

	s.askFor(func(config *v1alpha1.NetworkConfig) {
		config.IPAM = &v1alpha1.IPAM{Backend: new(cloudName), Pool: new("default")}
	})
	s.waitBound()
	nodes := s.get("nodes-ipv6")
	w.Expect(nodes.UID).NotTo(Equal(uid))
	w.Expect([]string{nodes.Spec.Backend, nodes.Spec.Pool, nodes.Status.Backend, nodes.Status.Allocated}).To(Equal(
		[]string{cloudName, "default", cloudName, "2001:db8:c::/64"}))
	s.Eventually(func() error { return health.CheckExtensionObject(s.infra()) }).Should(Succeed())
	w.Expect(s.infra().Status.LastError).To(BeNil())

	s.askFor(func(config *v1alpha1.NetworkConfig) { config.IPAM = nil })
	s.Consistently(func() string { return s.get("nodes-ipv6").Status.Allocated }).Should(Equal("2001:db8:c::/64"), "what is bound stays")
}

// F24: the Shoot asks for another size while its pool is full. Nothing was bound: it gets what it asks for now.
func TestF24SizeChangedWhileUnbound(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("tiny", "2001:db8::/56")}, nil)
	s := w.newShootIn(w.shootNamespace(), v1alpha1.Ranges{Nodes: new("v6global/56+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/57")})
	s.createInfrastructure(nil)
	s.Eventually(s.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseBound))
	s.Eventually(s.phase("services-ipv6")).Should(Equal(v1alpha1.PhaseFailed))

	other := w.newShoot(demo)
	other.Eventually(other.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	s.end() // room again, without a quarantine; and the other wants less by now
	other.askFor(func(config *v1alpha1.NetworkConfig) { config.Ranges.Nodes = new("v6global/60+prefix/96") })
	other.waitBound()
	w.Expect(other.get("nodes-ipv6").Status.Allocated).To(HaveSuffix("/60"))
	w.Expect(other.heldBy(poolLedger)()).To(HaveLen(2), "one prefix a range")
}

// The pool is full, and then the infrastructure provider brings a range of its own.
func TestAdoptsLateWhatTheProviderReports(t *testing.T) {
	w := newWorld(t)
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("tiny", "2001:db8::/63")}, nil)
	w.newShoot(demo).waitBound()
	s := w.newShoot(demo)
	s.Eventually(s.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	s.Eventually(s.phase("services-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, &networking{Nodes: []string{"2001:db8:a::/56"}})
	s.Eventually(s.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseBound))
	w.Expect(s.get("nodes-ipv6").Status.Backend).To(Equal("adopted"))
	s.Eventually(func() string { return s.infra().Status.LastError.Description }).Should(HavePrefix("Prefix reservation failed: services (IPv6): "))
	w.Expect(s.infra().Status.LastError.Codes).To(ConsistOf(gardencorev1beta1.ErrorInfraResourcesDepleted))

	s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, &networking{Nodes: []string{"2001:db8:a::/56"}, Services: []string{"2001:db8:b::/108"}})
	s.waitBound()
	s.Eventually(func() error { return health.CheckExtensionObject(s.infra()) }).Should(Succeed())
	w.Expect(s.infra().Status.Networking).To(Equal(&networking{
		Nodes: []string{"2001:db8:a::/56"}, Pods: []string{"2001:db8:a::/56"}, Services: []string{"2001:db8:b::/108"},
	}))
	w.Expect(s.heldBy(poolLedger)()).To(BeEmpty())
}

// The pool is full, and then the operator changes the configuration so that another backend serves.
func TestAsksAnotherBackendOfANewConfiguration(t *testing.T) {
	w := newWorld(t)
	c := newCloud("2001:db8:c::/48", "operator")
	set := settings{Namespace: w.namespace, Seed: "seed-a", Pools: poolOf("tiny", "2001:db8::/63"), Garbage: 300 * time.Millisecond}
	stop := startHere(t, set, nil, c.operated("seed-a", "operator"))
	first := w.newShoot(demo)
	first.waitBound()
	s := w.newShoot(demo)
	s.Eventually(s.phase("nodes-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	s.Eventually(s.phase("services-ipv6")).Should(Equal(v1alpha1.PhaseFailed))
	stop()

	set.Pools[0].Ranges = []keyword.Name{keyword.Pods}
	startHere(t, set, nil, c.operated("seed-a", "operator"))
	s.waitBound()
	for _, name := range []string{"nodes-ipv6", "services-ipv6"} {
		w.Expect(s.get(name).Status.Backend).To(Equal(cloudName))
		w.Expect(s.get(name).Status.Attempt).To(BeEquivalentTo(2))
		w.Expect(first.get(name).Status.Backend).To(Equal("pool"), "what is bound stays")
	}
	s.Consistently(held(c)).Should(HaveLen(2))
	w.Expect(first.heldBy(poolLedger)()).To(HaveLen(2))
}

// auditor counts the requests that change something, by resource.
type auditor struct {
	mu     sync.Mutex
	counts map[string]int
}

func (a *auditor) wrap(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Method != http.MethodGet {
				a.mu.Lock()
				a.counts[request.Method+" "+resourceOf(request.URL.Path)]++
				a.mu.Unlock()
			}
			return next.RoundTrip(request)
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip makes the request.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// resourceOf a path without the names in it: "prefixreservations/status".
func resourceOf(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if part == "namespaces" && len(parts) > i+2 {
			parts = parts[i+2:]
			break
		}
	}
	if len(parts) > 2 {
		return parts[0] + "/" + parts[2]
	}
	return parts[0]
}

func (a *auditor) seen() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := map[string]int{}
	for what, n := range a.counts {
		if !strings.HasSuffix(what, " events") {
			seen[what] = n
		}
	}
	return seen
}

// A reservation costs four writes at most: the intent, Allocating, the ledger, Bound.
func TestWritesOfAReservation(t *testing.T) {
	w := newWorld(t)
	a := &auditor{counts: map[string]int{}}
	startHere(t, settings{Namespace: w.namespace, Pools: poolOf("public", "2001:db8::/48"), config: a.wrap(env.Config)}, nil)
	const shoots = 5
	var last *shoot
	for range shoots {
		last = w.newShoot(demo)
		last.waitBound()
	}
	const reservations = 2 * shoots
	last.Eventually(func() error { // published: the last that is written of a shoot
		return health.CheckExtensionObject(last.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil))
	}).Should(Succeed())
	seen := a.seen()
	t.Logf("writes for %d reservations of %d shoots: %v", reservations, shoots, seen)
	w.Expect(seen["POST prefixreservations"]).To(Equal(reservations))
	w.Expect(seen["PUT prefixreservations/status"]).To(Equal(2 * reservations))
	ledger := seen["POST configmaps"] + seen["PUT configmaps"] + seen["PATCH configmaps"]
	w.Expect(ledger).To(BeNumerically("<=", reservations+1), "and the ledger itself, once")
	w.Expect(seen["PUT infrastructures/status"] + seen["PATCH infrastructures/status"]).To(BeNumerically("<=", 2*shoots))
	total := 0
	for what, n := range seen {
		if !strings.Contains(what, "infrastructures") {
			total += n
		}
	}
	w.Expect(total).To(BeNumerically("<=", 4*reservations+1))
}
