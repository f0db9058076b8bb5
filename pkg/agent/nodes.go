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
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// ClusterNodes is Nodes as the API server tells them.
type ClusterNodes struct {
	own      string
	informer cache.SharedIndexInformer
	changed  *pacer
}

// WatchNodes watches the node, and its peers if asked to, until the context ends. It does not wait for the API server.
func WatchNodes(ctx context.Context, client kubernetes.Interface, own string, peers bool) (*ClusterNodes, error) {
	selector := fields.Everything().String()
	if !peers {
		selector = fields.OneTermEqualSelector("metadata.name", own).String()
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return client.CoreV1().Nodes().List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return client.CoreV1().Nodes().Watch(ctx, o)
		},
	}
	n := &ClusterNodes{
		own: own, changed: newPacer(),
		informer: cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lw, client), &corev1.Node{}, 0, nil),
	}
	if err := n.informer.SetTransform(n.trim); err != nil {
		return nil, fmt.Errorf("watch nodes: %w", err)
	}
	// What changed does not matter, nor whether a deletion was seen or inferred: the view is looked at as a whole.
	if _, err := n.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: n.notify,
		UpdateFunc: func(before, after any) {
			if b, ok := before.(*corev1.Node); !ok || !same(b, after) {
				n.notify(after)
			}
		},
		DeleteFunc: n.notify,
	}); err != nil {
		return nil, fmt.Errorf("watch nodes: %w", err)
	}
	go n.informer.RunWithContext(ctx)
	return n, nil
}

// notify at once of the node itself, for which its pods wait.
func (n *ClusterNodes) notify(obj any) {
	if is, ok := obj.(*corev1.Node); ok && is.Name == n.own {
		n.changed.now()
		return
	}
	n.changed.soon()
}

// trim keeps what nodeOf reads: the status of a node is large, and is written every few seconds.
func (n *ClusterNodes) trim(obj any) (any, error) {
	is, ok := obj.(*corev1.Node)
	if !ok {
		return obj, nil // a tombstone
	}
	out := &corev1.Node{
		TypeMeta:   is.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: is.Name, UID: is.UID, ResourceVersion: is.ResourceVersion},
		Spec:       corev1.NodeSpec{PodCIDRs: is.Spec.PodCIDRs},
		Status:     corev1.NodeStatus{Addresses: is.Status.Addresses},
	}
	own := is.Name == n.own
	for key, value := range is.Annotations {
		if key == AnnotationRouterID || own && strings.HasPrefix(key, annotationDomain) {
			metav1.SetMetaDataAnnotation(&out.ObjectMeta, key, value)
		}
	}
	if own {
		out.Labels, out.DeletionTimestamp = is.Labels, is.DeletionTimestamp
		out.Spec.Unschedulable, out.Spec.Taints = is.Spec.Unschedulable, is.Spec.Taints
		out.Status.Conditions = slices.DeleteFunc(slices.Clone(is.Status.Conditions), func(c corev1.NodeCondition) bool { return !ofNodesEnd(c) })
	}
	return out, nil
}

// same says whether nothing changed that a view shows.
func same(before *corev1.Node, after any) bool {
	a, ok := after.(*corev1.Node)
	return ok && reflect.DeepEqual(nodeOf(before), nodeOf(a))
}

// Changed implements Nodes.
func (n *ClusterNodes) Changed() <-chan struct{} { return n.changed.changed }

// View implements Nodes. Until all nodes were listed it is empty: a part of them would cost the others their routes.
func (n *ClusterNodes) View() View {
	if !n.informer.HasSynced() {
		return View{}
	}
	v := View{Known: true}
	for _, obj := range n.informer.GetStore().List() {
		node, ok := obj.(*corev1.Node)
		if !ok {
			continue
		}
		is := nodeOf(node)
		if node.Name == n.own {
			v.Own = &is
			continue
		}
		v.Peers = append(v.Peers, is)
	}
	return v
}

// nodeOf converts. What is no address or prefix is left out: the API server validates both.
func nodeOf(n *corev1.Node) Node {
	out := Node{Name: n.Name, Labels: n.Labels, Annotations: n.Annotations, Phase: phaseOf(n)}
	out.Deleting = n.DeletionTimestamp != nil
	out.LabelsPending = slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == taintUninitialized })
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			out.Addrs = append(out.Addrs, ip)
		}
	}
	for _, s := range n.Spec.PodCIDRs {
		if p, err := netip.ParsePrefix(s); err == nil {
			out.PodCIDRs = append(out.PodCIDRs, p.Masked())
		}
	}
	return out
}

// Events is a Recorder that writes events of the node.
type Events struct {
	recorder record.EventRecorder
	ref      *corev1.ObjectReference
}

// NewEvents returns the recorder; stop sends what is left and ends it.
func NewEvents(client kubernetes.Interface, node string) (e *Events, stop func()) {
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return &Events{
		recorder: b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "ipv6-agent", Host: node}),
		// kubectl describe node looks events up by this UID, as kubelet writes them.
		ref: &corev1.ObjectReference{Kind: "Node", Name: node, UID: types.UID(node)},
	}, b.Shutdown
}

// Warn implements Recorder.
func (e *Events) Warn(reason, message string) {
	const limit = 1000 // events.Message may have 1024 bytes
	e.recorder.Event(e.ref, corev1.EventTypeWarning, reason, cut(message, limit))
}

// taintUninitialized is on a node until the cloud controller manager, if there is one, knows and has labelled it.
const taintUninitialized = "node.cloudprovider.kubernetes.io/uninitialized"

// syncTimeout is how long Wait waits at most.
const syncTimeout = 30 * time.Second

// Wait returns when the API server has answered once, or has not for half a minute.
func (n *ClusterNodes) Wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	cache.WaitFor(ctx, "", n.informer.HasSyncedChecker())
}
