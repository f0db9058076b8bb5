// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fieldOwner is whom server-side apply attributes the driver's fields to.
const fieldOwner = client.FieldOwner("landscape-driver")

//go:embed manifests/*.yaml
var manifests embed.FS

// render fills in a manifest.
func render(name string, values any) ([]byte, error) {
	text, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}

	return fill(name, string(text), values)
}

func fill(name, text string, values any) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}

	var out bytes.Buffer
	if err := parsed.Execute(&out, values); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}

	return out.Bytes(), nil
}

// decode splits a stream of YAML documents.
func decode(manifest []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured

	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)

	for {
		object := &unstructured.Unstructured{}

		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}

		if err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}

		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// applyManifest applies every document of a manifest, in its order, as `kubectl apply --server-side` does.
func applyManifest(ctx context.Context, c client.Client, manifest []byte) error {
	objects, err := decode(manifest)
	if err != nil {
		return err
	}

	for _, object := range objects {
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), fieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), client.ObjectKeyFromObject(object), err)
		}
	}

	return nil
}
