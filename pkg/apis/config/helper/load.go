// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package helper reads the component configuration of gardener-extension-networking-ipv6.
package helper

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/validation"
)

var codecs serializer.CodecFactory

func init() {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		panic(err) // the types are our own: a conflict is a fault of this program
	}
	codecs = serializer.NewCodecFactory(scheme, serializer.EnableStrict)
}

// Load reads a ControllerConfiguration from a file, as Decode does, and validates it. The error names every mistake.
func Load(path string) (*v1alpha1.ControllerConfiguration, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("reading the component configuration: %w", err)
	}
	config, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("component configuration %s: %w", path, err)
	}
	return config, nil
}

// Read decodes a ControllerConfiguration, as Decode does, and validates it.
func Read(data []byte) (*v1alpha1.ControllerConfiguration, error) {
	config, err := Decode(data)
	if err != nil {
		return nil, err
	}
	if errs := validation.ValidateControllerConfiguration(config); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return config, nil
}

// Decode reads a ControllerConfiguration from YAML or JSON and fills in the defaults. It is strict: an unknown or a doubled
// field is an error. It does not validate.
func Decode(data []byte) (*v1alpha1.ControllerConfiguration, error) {
	gvk := v1alpha1.SchemeGroupVersion.WithKind("ControllerConfiguration")
	// No target is given: the decoder would take a document without apiVersion and kind for the target's.
	decoded, _, err := codecs.UniversalDeserializer().Decode(data, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", gvk.Kind, err)
	}
	config, ok := decoded.(*v1alpha1.ControllerConfiguration)
	if !ok {
		return nil, fmt.Errorf("decoding %s: document is of kind %s", gvk.Kind, decoded.GetObjectKind().GroupVersionKind().Kind)
	}
	v1alpha1.SetObjectDefaults_ControllerConfiguration(config)
	config.SetGroupVersionKind(gvk)
	return config, nil
}
