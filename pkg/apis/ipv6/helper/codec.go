// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package helper reads and writes the documents of the API group ipv6.networking.extensions.gardener.cloud that Gardener carries
// as raw extensions: the Shoot's spec.networking.providerConfig, and the providerStatus and state of the Network resource.
package helper

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// Kinds of the documents.
const (
	KindNetworkConfig = "NetworkConfig"
	KindNetworkStatus = "NetworkStatus"
	KindNetworkState  = "NetworkState"
)

var (
	scheme  = runtime.NewScheme()
	strict  = newSerializer(true)
	lenient = newSerializer(false)
)

func init() {
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		panic(err) // the types are our own: a conflict is a fault of this program
	}
}

func newSerializer(strict bool) *serializer.Serializer {
	return serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme, scheme, serializer.SerializerOptions{Yaml: true, Strict: strict})
}

// decode reads raw into out. A document without apiVersion or kind is taken for one of the wanted kind, because the admission
// of some providers creates the Shoot's providerConfig to inject fields of its own, and gives it neither. Nothing at all is an
// empty document.
func decode(s *serializer.Serializer, raw *runtime.RawExtension, kind string, out runtime.Object) error {
	want := v1alpha1.SchemeGroupVersion.WithKind(kind)
	data, err := rawBytes(raw)
	if err != nil {
		return fmt.Errorf("reading %s: %w", kind, err)
	}
	if len(data) > 0 {
		if err := checkKind(data, want); err != nil {
			return err
		}
		if _, _, err := s.Decode(data, &want, out); err != nil {
			return fmt.Errorf("decoding %s: %w", kind, err)
		}
	}
	out.GetObjectKind().SetGroupVersionKind(want)
	return nil
}

func rawBytes(raw *runtime.RawExtension) ([]byte, error) {
	if raw == nil {
		return nil, nil
	}
	data := raw.Raw
	if len(data) == 0 && raw.Object != nil {
		var err error
		if data, err = json.Marshal(raw.Object); err != nil {
			return nil, err
		}
	}
	if data = bytes.TrimSpace(data); bytes.Equal(data, []byte("null")) {
		return nil, nil
	}
	return data, nil
}

// checkKind says in the user's terms what the API machinery would say in the scheme's.
func checkKind(data []byte, want schema.GroupVersionKind) error {
	got, err := serializer.DefaultMetaFactory.Interpret(data)
	if err != nil {
		// Not JSON: the decoder reads YAML, too, and says where a text is neither.
		return nil //nolint:nilerr // see above
	}
	if got.Version != "" && got.GroupVersion() != want.GroupVersion() {
		return fmt.Errorf("decoding %s: apiVersion is %q, must be %q", want.Kind, got.GroupVersion(), want.GroupVersion())
	}
	if got.Kind != "" && got.Kind != want.Kind {
		return fmt.Errorf("decoding %s: kind is %q, must be %q", want.Kind, got.Kind, want.Kind)
	}
	return nil
}

func encode(obj runtime.Object, kind string) (*runtime.RawExtension, error) {
	obj = obj.DeepCopyObject()
	obj.GetObjectKind().SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind))
	data, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", kind, err)
	}
	return &runtime.RawExtension{Raw: data}, nil
}
