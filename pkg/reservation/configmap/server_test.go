// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"context"
	"errors"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// server is an API server that knows ConfigMaps, in memory: as strict as a real one in what a ledger relies on, and quick enough for
// tens of thousands of requests, which controller-runtime's fake is not. The tests in test/integration/ledger use a real one.
func server() client.WithWatch {
	s := &memory{objects: map[client.ObjectKey]*corev1.ConfigMap{}}
	return interceptor.NewClient(nil, interceptor.Funcs{
		Get: s.get, List: s.list,
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			return s.create(o)
		},
		Update: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.UpdateOption) error {
			return s.update(o)
		},
		Delete: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.DeleteOption) error {
			return s.delete(o)
		},
	})
}

type memory struct {
	mu      sync.Mutex
	objects map[client.ObjectKey]*corev1.ConfigMap
	version int
}

var resource = schema.GroupResource{Resource: "configmaps"}

func (s *memory) get(_ context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.objects[key]
	if !ok {
		return apierrors.NewNotFound(resource, key.Name)
	}
	found.DeepCopyInto(o.(*corev1.ConfigMap))
	return nil
}

func (s *memory) list(_ context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var o client.ListOptions
	o.ApplyOptions(opts)
	for key, object := range s.objects {
		if key.Namespace != o.Namespace || o.LabelSelector != nil && !o.LabelSelector.Matches(labels.Set(object.Labels)) {
			continue
		}
		switch list := list.(type) {
		case *corev1.ConfigMapList:
			list.Items = append(list.Items, *object.DeepCopy())
		case *metav1.PartialObjectMetadataList:
			list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: *object.ObjectMeta.DeepCopy()})
		default:
			return errors.New("what list is this?")
		}
	}
	return nil
}

func (s *memory) create(o client.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := client.ObjectKeyFromObject(o)
	switch {
	case s.objects[key] != nil:
		return apierrors.NewAlreadyExists(resource, key.Name)
	case o.GetResourceVersion() != "":
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	s.keep(key, o.(*corev1.ConfigMap))
	return nil
}

func (s *memory) update(o client.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := client.ObjectKeyFromObject(o)
	found := s.objects[key]
	switch {
	case found == nil:
		return apierrors.NewNotFound(resource, key.Name)
	case found.ResourceVersion != o.GetResourceVersion() || found.UID != o.GetUID():
		return apierrors.NewConflict(resource, key.Name, errors.New("the object has been modified"))
	case found.Immutable != nil && *found.Immutable:
		return apierrors.NewForbidden(resource, key.Name, errors.New("immutable"))
	}
	s.keep(key, o.(*corev1.ConfigMap))
	return nil
}

func (s *memory) keep(key client.ObjectKey, o *corev1.ConfigMap) {
	s.version++
	o.ResourceVersion = strconv.Itoa(s.version)
	if o.UID == "" {
		o.UID = types.UID("uid-" + o.ResourceVersion)
	}
	s.objects[key] = o.DeepCopy()
}

func (s *memory) delete(o client.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := client.ObjectKeyFromObject(o)
	if s.objects[key] == nil {
		return apierrors.NewNotFound(resource, key.Name)
	}
	delete(s.objects, key)
	return nil
}
