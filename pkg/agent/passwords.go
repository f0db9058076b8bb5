// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
)

// keyPassword is the key of a Secret that holds the password.
const keyPassword = "password"

// ClusterPasswords are Passwords as Secrets in kube-system have them. Each Secret is watched by its name, so that the agent needs to be
// allowed those only.
type ClusterPasswords struct {
	synced  []cache.DoneChecker
	changed chan struct{}

	mu        sync.Mutex
	passwords map[string]string
	// lost are the Secrets that are not there any more, or have no password any more, by name; why, for people.
	lost map[string]string
}

// WatchPasswords watches the Secrets of the configuration's peers until the context ends; it returns nil if there are none.
func WatchPasswords(ctx context.Context, client kubernetes.Interface, cfg agentconfig.Config) (*ClusterPasswords, error) {
	if cfg.BGP == nil || cfg.RoutingMode != agentconfig.BGP {
		return nil, nil
	}
	names := secretsOf(cfg.BGP.Peers)
	if len(names) == 0 {
		return nil, nil
	}
	p := &ClusterPasswords{changed: make(chan struct{}, 1), passwords: map[string]string{}, lost: map[string]string{}}
	for _, name := range names {
		if err := p.follow(ctx, client, name); err != nil {
			return nil, fmt.Errorf("watch the secret %s: %w", name, err)
		}
	}
	return p, nil
}

func (p *ClusterPasswords) follow(ctx context.Context, client kubernetes.Interface, name string) error {
	only := fields.OneTermEqualSelector("metadata.name", name).String()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return client.CoreV1().Secrets(metav1.NamespaceSystem).Watch(ctx, o)
		},
	}
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lw, client), &corev1.Secret{}, 0, nil)
	if err := informer.SetTransform(trimSecret); err != nil {
		return err
	}
	take := func(obj any) {
		if s, ok := obj.(*corev1.Secret); ok {
			// A Secret made from a file ends in the file's end of line, which no router has in its password.
			p.take(name, strings.TrimRight(string(s.Data[keyPassword]), "\r\n"), fmt.Sprintf("has no key %q any more", keyPassword))
		}
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    take,
		UpdateFunc: func(_, obj any) { take(obj) },
		DeleteFunc: func(any) { p.take(name, "", "was deleted") },
	})
	if err != nil {
		return err
	}
	p.synced = append(p.synced, handler.HasSyncedChecker())
	go informer.RunWithContext(ctx)
	return nil
}

// trimSecret keeps the password.
func trimSecret(obj any) (any, error) {
	s, ok := obj.(*corev1.Secret)
	if !ok {
		return obj, nil // a tombstone
	}
	out := &corev1.Secret{
		TypeMeta:   s.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion},
	}
	if password, ok := s.Data[keyPassword]; ok {
		out.Data = map[string][]byte{keyPassword: password}
	}
	return out, nil
}

// take a password. An empty one ends no session: the last one is kept, and people are told why.
func (p *ClusterPasswords) take(name, password, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if password == "" {
		if p.passwords[name] != "" {
			p.lost[name] = why
		}
	} else {
		p.passwords[name] = password
		delete(p.lost, name)
	}
	select {
	case p.changed <- struct{}{}:
	default: // a notice is waiting already
	}
}

// Passwords implements Passwords.
func (p *ClusterPasswords) Passwords() (passwords map[string]string, known bool, problems []Problem) {
	known = allDone(p.synced)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.lost)) {
		problems = append(problems, Problem{Reason: string(announce.PasswordMissing), Message: fmt.Sprintf(
			"the Secret %s with the password of BGP peers %s: their sessions keep the last one until the agent starts anew", name, p.lost[name])})
	}
	return maps.Clone(p.passwords), known, problems
}

// Changed implements Passwords.
func (p *ClusterPasswords) Changed() <-chan struct{} { return p.changed }
