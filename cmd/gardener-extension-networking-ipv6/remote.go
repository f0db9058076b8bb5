// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// keyKubeconfig in the Secret of an IPAM that is objects of another API server.
const keyKubeconfig = "kubeconfig"

// remoteTimeout bounds a request to another API server, the discovery of its types, too.
const remoteTimeout = 30 * time.Second

// remote is a client to the API server that a kubeconfig in a Secret leads to. The Secret is read before every call, and what was
// made of it is kept as long as it says the same.
type remote struct {
	credentials reservation.Credentials
	scheme      *runtime.Scheme

	mu      sync.Mutex
	made    []byte // of this kubeconfig
	current client.Client
}

var _ client.Client = &remote{}

func newRemote(credentials reservation.Credentials, scheme *runtime.Scheme) *remote {
	return &remote{credentials: credentials, scheme: scheme}
}

func (r *remote) client(ctx context.Context) (client.Client, error) {
	data, err := r.credentials(ctx)
	if err != nil {
		return nil, err
	}
	kubeconfig := data[keyKubeconfig]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil && bytes.Equal(kubeconfig, r.made) {
		return r.current, nil
	}
	config, err := restConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	made, err := client.New(config, client.Options{Scheme: r.scheme})
	if err != nil {
		return nil, reservation.Errorf(reservation.Retry, "making a client of the kubeconfig: %w", err)
	}
	r.made, r.current = bytes.Clone(kubeconfig), made
	return made, nil
}

// restConfig reads a kubeconfig that needs nothing beside itself: no files, no programs. What is wrong with it is not quoted, for
// it holds credentials.
func restConfig(kubeconfig []byte) (*rest.Config, error) {
	if len(kubeconfig) == 0 {
		return nil, reservation.Errorf(reservation.Unauthorized, "the Secret has no key %q: it must hold a kubeconfig", keyKubeconfig)
	}
	parsed, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, reservation.Errorf(reservation.Unauthorized, "the Secret's key %q holds no kubeconfig", keyKubeconfig)
	}
	if what := outside(parsed); what != "" {
		return nil, reservation.Errorf(reservation.Unauthorized, "the Secret's kubeconfig must stand for itself, but has %s: put the data into it", what)
	}
	config, err := clientcmd.NewDefaultClientConfig(*parsed, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, reservation.Errorf(reservation.Unauthorized, "the Secret's kubeconfig is not complete: it needs a current context with a cluster and a user")
	}
	// The API server limits fairly; client-go's own limit, five requests a second, would hold the workers.
	config.QPS, config.Burst = -1, 0
	config.Timeout = remoteTimeout
	return config, nil
}

// outside names what a kubeconfig would have read or run on this machine.
func outside(config *clientcmdapi.Config) string {
	for _, user := range config.AuthInfos {
		switch {
		case user.Exec != nil:
			return "a program to run (exec)"
		case user.AuthProvider != nil:
			return "an auth-provider"
		case user.ClientCertificate != "" || user.ClientKey != "" || user.TokenFile != "":
			return "a path to credentials"
		}
	}
	for _, cluster := range config.Clusters {
		if cluster.CertificateAuthority != "" {
			return "a path to a certificate authority"
		}
	}
	return ""
}

// Get as the client of the moment does it; so all the others.
func (r *remote) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	c, err := r.client(ctx)
	if err != nil {
		return err
	}
	return c.Get(ctx, key, obj, opts...)
}

// List objects.
func (r *remote) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	c, err := r.client(ctx)
	if err != nil {
		return err
	}
	return c.List(ctx, list, opts...)
}

// Create an object.
func (r *remote) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	c, err := r.client(ctx)
	if err != nil {
		return err
	}
	return c.Create(ctx, obj, opts...)
}

// Delete an object.
func (r *remote) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	c, err := r.client(ctx)
	if err != nil {
		return err
	}
	return c.Delete(ctx, obj, opts...)
}

// Update an object.
func (r *remote) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	c, err := r.client(ctx)
	if err != nil {
		return err
	}
	return c.Update(ctx, obj, opts...)
}

// Patch an object.
func (r *remote) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	c, err := r.client(ctx)
	if err != nil {
		return err
	}
	return c.Patch(ctx, obj, patch, opts...)
}

// Apply a configuration.
func (r *remote) Apply(ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	c, err := r.client(ctx)
	if err != nil {
		return err
	}
	return c.Apply(ctx, obj, opts...)
}

// DeleteAllOf a kind.
func (r *remote) DeleteAllOf(ctx context.Context, obj client.Object, opts ...client.DeleteAllOfOption) error {
	c, err := r.client(ctx)
	if err != nil {
		return err
	}
	return c.DeleteAllOf(ctx, obj, opts...)
}

// Status is not needed of what an IPAM's controller writes.
func (r *remote) Status() client.SubResourceWriter { return r.SubResource("status") }

// SubResource is not needed by the adapters, and not there.
func (r *remote) SubResource(string) client.SubResourceClient { return nil }

// Scheme of the client.
func (r *remote) Scheme() *runtime.Scheme { return r.scheme }

// RESTMapper is that of the API server of the moment, and not known outside of a call.
func (r *remote) RESTMapper() meta.RESTMapper { return meta.MultiRESTMapper{} }

// GroupVersionKindFor an object.
func (r *remote) GroupVersionKindFor(obj runtime.Object) (schema.GroupVersionKind, error) {
	kinds, _, err := r.scheme.ObjectKinds(obj)
	if err != nil || len(kinds) == 0 {
		return schema.GroupVersionKind{}, fmt.Errorf("finding the kind of %T: %w", obj, err)
	}
	return kinds[0], nil
}

// IsObjectNamespaced asks the API server of the moment.
func (r *remote) IsObjectNamespaced(obj runtime.Object) (bool, error) {
	c, err := r.client(context.Background())
	if err != nil {
		return false, err
	}
	return c.IsObjectNamespaced(obj)
}
