// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

// labelProxyName names who forwards to a Service in kube-proxy's place.
const labelProxyName = "service.kubernetes.io/service-proxy-name"

// ClusterServices is Services as the API server tells them. It keeps what announce.Decide reads and counts endpoints as they change.
type ClusterServices struct {
	node      string
	advertise announce.Advertise
	synced    []cache.DoneChecker
	changed   *pacer

	mu       sync.Mutex
	services map[types.NamespacedName]announce.Service
	// endpoints of a Service by family, summed over its slices.
	endpoints map[types.NamespacedName]map[bgp.Family]announce.Endpoints
}

// WatchServices watches what is needed of Services until the context ends; it returns nil if nothing is.
func WatchServices(ctx context.Context, client kubernetes.Interface, node string, cfg agentconfig.Config) (*ClusterServices, error) {
	if cfg.BGP == nil || cfg.RoutingMode != agentconfig.BGP || !ofServices(announce.Advertise(cfg.BGP.Advertise)) {
		return nil, nil
	}
	s := &ClusterServices{
		node: node, advertise: announce.Advertise(cfg.BGP.Advertise), changed: newPacer(),
		services: map[types.NamespacedName]announce.Service{}, endpoints: map[types.NamespacedName]map[bgp.Family]announce.Endpoints{},
	}
	services := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.CoreV1().Services(metav1.NamespaceAll).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.CoreV1().Services(metav1.NamespaceAll).Watch(ctx, o)
		},
	}
	endpoints := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).Watch(ctx, o)
		},
	}
	if err := s.follow(ctx, client, services, &corev1.Service{}, trimService, s.serviceChanged); err != nil {
		return nil, fmt.Errorf("watch services: %w", err)
	}
	if err := s.follow(ctx, client, endpoints, &discoveryv1.EndpointSlice{}, s.count, s.sliceChanged); err != nil {
		return nil, fmt.Errorf("watch endpoint slices: %w", err)
	}
	go func() {
		if cache.WaitFor(ctx, "", s.synced...) {
			s.changed.now()
		}
	}()
	return s, nil
}

// follow what a ListWatch tells. change gets what was and what is; nil is nothing.
func (s *ClusterServices) follow(ctx context.Context, client kubernetes.Interface, lw *cache.ListWatch, example runtime.Object, trim cache.TransformFunc,
	change func(before, after any),
) error {
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lw, client), example, 0, nil)
	if err := informer.SetTransform(trim); err != nil {
		return err
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(after any) { change(nil, after) },
		UpdateFunc: change,
		DeleteFunc: func(before any) {
			if gone, ok := before.(cache.DeletedFinalStateUnknown); ok {
				before = gone.Obj
			}
			change(before, nil)
		},
	})
	if err != nil {
		return err
	}
	s.synced = append(s.synced, handler.HasSyncedChecker())
	go informer.RunWithContext(ctx)
	return nil
}

// trimService keeps what serviceOf reads.
func trimService(obj any) (any, error) {
	s, ok := obj.(*corev1.Service)
	if !ok {
		return obj, nil // a tombstone
	}
	out := &corev1.Service{
		TypeMeta:   s.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion},
		Spec: corev1.ServiceSpec{
			Type: s.Spec.Type, ClusterIPs: s.Spec.ClusterIPs, ExternalIPs: s.Spec.ExternalIPs,
			ExternalTrafficPolicy: s.Spec.ExternalTrafficPolicy, InternalTrafficPolicy: s.Spec.InternalTrafficPolicy,
		},
		Status: corev1.ServiceStatus{LoadBalancer: s.Status.LoadBalancer},
	}
	if name, ok := s.Labels[labelProxyName]; ok {
		out.Labels = map[string]string{labelProxyName: name}
	}
	return out, nil
}

// serviceOf converts. What is no address is left out: a load balancer may have a name instead.
func serviceOf(s *corev1.Service) announce.Service {
	out := announce.Service{
		Namespace: s.Namespace, Name: s.Name, Type: announce.ServiceType(s.Spec.Type), ClusterIPs: addressesOf(s.Spec.ClusterIPs),
		ExternalIPs: addressesOf(s.Spec.ExternalIPs), ExternalPolicy: announce.Policy(s.Spec.ExternalTrafficPolicy), ProxyName: s.Labels[labelProxyName],
	}
	if p := s.Spec.InternalTrafficPolicy; p != nil {
		out.InternalPolicy = announce.Policy(*p)
	}
	for _, ingress := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(ingress.IP); err == nil {
			out.Ingress = append(out.Ingress, announce.Ingress{Address: a, Proxy: ingress.IPMode != nil && *ingress.IPMode == corev1.LoadBalancerIPModeProxy})
		}
	}
	return out
}

// addressesOf leaves out what is none, as the "None" of a headless Service.
func addressesOf(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// matters tells whether anything of a Service may be announced.
func (s *ClusterServices) matters(is announce.Service) bool {
	if is.ProxyName != "" || is.Type == announce.ExternalName || len(is.ClusterIPs) == 0 {
		return false
	}
	return s.advertise.ClusterIPs || s.advertise.ServiceRange && is.InternalPolicy == announce.Local ||
		s.advertise.LoadBalancerIPs && is.Type == announce.LoadBalancer && len(is.Ingress) > 0 || s.advertise.ExternalIPs && len(is.ExternalIPs) > 0
}

func (s *ClusterServices) serviceChanged(before, after any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is, ok := after.(*corev1.Service); ok {
		name, now := types.NamespacedName{Namespace: is.Namespace, Name: is.Name}, serviceOf(is)
		was, known := s.services[name]
		switch {
		case !s.matters(now):
			after = nil
			before = is
		case !known || !reflect.DeepEqual(was, now):
			s.services[name] = now
			s.changed.soon()
			return
		default:
			return
		}
	}
	if was, ok := before.(*corev1.Service); ok && after == nil {
		name := types.NamespacedName{Namespace: was.Namespace, Name: was.Name}
		if _, known := s.services[name]; known {
			delete(s.services, name)
			s.changed.soon()
		}
	}
}

// slice is what is kept of an EndpointSlice.
type slice struct {
	metav1.ObjectMeta
	service   string
	family    bgp.Family
	endpoints announce.Endpoints
}

// count makes a slice of an EndpointSlice.
func (s *ClusterServices) count(obj any) (any, error) {
	is, ok := obj.(*discoveryv1.EndpointSlice)
	if !ok {
		return obj, nil // a tombstone, or one that is counted
	}
	out := &slice{
		ObjectMeta: metav1.ObjectMeta{Namespace: is.Namespace, Name: is.Name, UID: is.UID, ResourceVersion: is.ResourceVersion},
		service:    is.Labels[discoveryv1.LabelServiceName],
	}
	switch is.AddressType {
	case discoveryv1.AddressTypeIPv6:
		out.family = bgp.IPv6Unicast
	case discoveryv1.AddressTypeIPv4:
		out.family = bgp.IPv4Unicast
	default:
		return out, nil
	}
	endpoints := make([]announce.Endpoint, 0, len(is.Endpoints))
	for _, e := range is.Endpoints {
		one := announce.Endpoint{
			Ready: unlessFalse(e.Conditions.Ready), Serving: unlessFalse(e.Conditions.Serving), Terminating: e.Conditions.Terminating != nil && *e.Conditions.Terminating,
		}
		if e.NodeName != nil {
			one.Node = *e.NodeName
		}
		endpoints = append(endpoints, one)
	}
	out.endpoints = announce.Count(s.node, endpoints)
	return out, nil
}

func unlessFalse(b *bool) bool { return b == nil || *b }

func (s *ClusterServices) sliceChanged(before, after any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, _ := before.(*slice)
	is, _ := after.(*slice)
	if was != nil && is != nil && was.service == is.service && was.family == is.family {
		s.add(was, is.endpoints.Minus(was.endpoints))
		return
	}
	if is != nil {
		s.add(is, is.endpoints)
	}
	if was != nil {
		s.add(was, announce.Endpoints{}.Minus(was.endpoints))
	}
}

// add endpoints to those of the Service of a slice. What was handed out is not changed.
func (s *ClusterServices) add(to *slice, more announce.Endpoints) {
	if to.service == "" || to.family == "" || more == (announce.Endpoints{}) {
		return
	}
	name := types.NamespacedName{Namespace: to.Namespace, Name: to.service}
	old := s.endpoints[name]
	sum := map[bgp.Family]announce.Endpoints{}
	for family, e := range old {
		sum[family] = e
	}
	if sum[to.family] = old[to.family].Plus(more); sum[to.family] == (announce.Endpoints{}) {
		delete(sum, to.family)
	}
	if s.endpoints[name] = sum; len(sum) == 0 {
		delete(s.endpoints, name)
	}
	if _, matters := s.services[name]; matters && !old[to.family].Alike(sum[to.family]) {
		s.changed.soon()
	}
}

// Changed implements Services.
func (s *ClusterServices) Changed() <-chan struct{} { return s.changed.changed }

// Services implements Services. A part of them would have the others withdrawn.
func (s *ClusterServices) Services() (services []announce.Service, known bool) {
	if !allDone(s.synced) {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	services = make([]announce.Service, 0, len(s.services))
	for name, is := range s.services {
		is.Endpoints = s.endpoints[name]
		services = append(services, is)
	}
	return services, true
}

func allDone(checkers []cache.DoneChecker) bool {
	return !slices.ContainsFunc(checkers, func(c cache.DoneChecker) bool { return !cache.IsDone(c) })
}
