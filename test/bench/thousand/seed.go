// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const errorsOnly = zapcore.ErrorLevel

func addToScheme(s *runtime.Scheme) error {
	return errors.Join(extensionsv1alpha1.AddToScheme(s), v1alpha1.AddToScheme(s))
}

// seed is the API server of a seed.
type seed struct {
	client client.WithWatch
	raw    rest.Interface
}

func newSeed(env *envtest.Environment) (*seed, error) {
	scheme, err := envtest.NewScheme(addToScheme)
	if err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(env.Config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	clientset, err := kubernetes.NewForConfig(env.Config)
	if err != nil {
		return nil, err
	}
	return &seed{client: c, raw: clientset.Discovery().RESTClient()}, nil
}

func (s *seed) namespace(ctx context.Context, prefix string, labels map[string]string) (string, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix, Labels: labels}}
	err := s.client.Create(ctx, ns)
	return ns.Name, err
}

// create makes what gardenlets make of Shoots: namespaces, Clusters and Infrastructures. It returns when each Infrastructure was there.
func (s *seed) create(ctx context.Context, shoots int) (map[string]time.Time, error) {
	var (
		mu      sync.Mutex
		created = map[string]time.Time{}
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for range shoots {
		group.Go(func() error {
			namespace, err := s.namespace(ctx, "shoot-", map[string]string{v1beta1constants.LabelNetworkingProvider: "ipv6"})
			if err != nil {
				return err
			}
			cluster, err := clusterOf(namespace)
			if err != nil {
				return err
			}
			if err := s.client.Create(ctx, cluster); err != nil {
				return err
			}
			err = s.client.Create(ctx, &extensionsv1alpha1.Infrastructure{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "infra"},
				Spec: extensionsv1alpha1.InfrastructureSpec{
					DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "stub"}, Region: "r",
					SecretRef: corev1.SecretReference{Namespace: namespace, Name: "cloudprovider"},
				},
			})
			mu.Lock()
			defer mu.Unlock()
			created[namespace] = time.Now()
			return err
		})
	}
	return created, group.Wait()
}

func clusterOf(namespace string) (*extensionsv1alpha1.Cluster, error) {
	config, err := json.Marshal(&v1alpha1.NetworkConfig{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "NetworkConfig"},
		Ranges:   &v1alpha1.Ranges{Nodes: new("v6global/64+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/112")},
	})
	if err != nil {
		return nil, err
	}
	shoot, err := json.Marshal(&gardencorev1beta1.Shoot{
		TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "garden-test", Name: namespace, UID: uuid.NewUUID()},
		Spec: gardencorev1beta1.ShootSpec{Networking: &gardencorev1beta1.Networking{
			Type: new("ipv6"), IPFamilies: []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6},
			ProviderConfig: &runtime.RawExtension{Raw: config},
		}},
		Status: gardencorev1beta1.ShootStatus{UID: uuid.NewUUID()},
	})
	return &extensionsv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: extensionsv1alpha1.ClusterSpec{
			Shoot:        runtime.RawExtension{Raw: shoot},
			CloudProfile: runtime.RawExtension{Raw: []byte(`{"apiVersion":"core.gardener.cloud/v1beta1","kind":"CloudProfile"}`)},
		},
	}, err
}

// watcher sees reservations become bound.
type watcher struct{ events watch.Interface }

func (s *seed) watch(ctx context.Context) (*watcher, error) {
	events, err := s.client.Watch(ctx, &v1alpha1.PrefixReservationList{})
	return &watcher{events: events}, err
}

// wait until that many are bound; the keys are namespace and name.
func (w *watcher) wait(ctx context.Context, n int, dead <-chan struct{}) (map[string]reserved, error) {
	defer w.events.Stop()
	bound := map[string]reserved{}
	for len(bound) < n {
		select {
		case event, ok := <-w.events.ResultChan():
			if !ok {
				return nil, errors.New("the API server ended the watch")
			}
			r, ok := event.Object.(*v1alpha1.PrefixReservation)
			if !ok || r.Status.Phase != v1alpha1.PhaseBound {
				continue
			}
			p, err := netip.ParsePrefix(r.Status.Allocated)
			if err != nil {
				return nil, fmt.Errorf("%s in %s is bound: %w", r.Name, r.Namespace, err)
			}
			if _, seen := bound[r.Namespace+"/"+r.Name]; !seen {
				bound[r.Namespace+"/"+r.Name] = reserved{prefix: p, at: time.Now()}
			}
		case <-dead:
			return nil, errors.New("the controller has ended")
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d reservations are bound: %w", len(bound), n, ctx.Err())
		}
	}
	return bound, nil
}

// settled waits until the requests of writing do not get more any more.
func (s *seed) settled(ctx context.Context) error {
	last := -1.0
	for {
		now, err := s.requests(ctx)
		if err != nil {
			return err
		}
		writes := now.writes()
		if writes == last {
			return nil
		}
		last = writes
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// requests are numbers of requests by verb and resource, as the API server's own metrics tell.
type requests map[string]float64

func (s *seed) requests(ctx context.Context) (requests, error) {
	text, err := s.raw.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	return parseRequests(text)
}

func parseRequests(text []byte) (requests, error) {
	found := requests{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		labels, ok := strings.CutPrefix(lines.Text(), "apiserver_request_total{")
		if !ok {
			continue
		}
		labels, number, _ := strings.Cut(labels, "} ")
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return nil, err
		}
		resource := label(labels, "resource")
		if sub := label(labels, "subresource"); sub != "" {
			resource += "/" + sub
		}
		found[label(labels, "verb")+" "+resource] += n
	}
	return found, nil
}

func label(labels, name string) string {
	_, rest, found := strings.Cut(","+labels, ","+name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// until are the requests from then until now.
func (r requests) until(now requests) requests {
	between := requests{}
	for what, n := range now {
		if n > r[what] {
			between[what] = n - r[what]
		}
	}
	return between
}

var writing = []string{"POST", "PUT", "PATCH", "APPLY", "DELETE"}

func (r requests) writes(resources ...string) float64 {
	sum := 0.0
	for what, n := range r {
		verb, resource, _ := strings.Cut(what, " ")
		if slices.Contains(writing, verb) && (len(resources) == 0 || slices.Contains(resources, resource)) {
			sum += n
		}
	}
	return sum
}

func (r requests) sorted() []string { return slices.Sorted(maps.Keys(r)) }
