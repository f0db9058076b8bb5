// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	// configMapPrefix begins the name of Gardener's ConfigMap with kube-proxy's configuration; a hash of its content follows.
	configMapPrefix = "kube-proxy-config"
	// configKey is the key of the configuration in that ConfigMap.
	configKey = "config.yaml"
	// configKind is the kind of the configuration.
	configKind = "KubeProxyConfiguration"
	// modeInterfaceNamePrefix is kube-proxy's name for "local is what comes in from an interface of this name".
	modeInterfaceNamePrefix = "InterfaceNamePrefix"
)

// separator stands between the documents of a ManagedResource's data.
var separator = []byte("\n---\n")

// MutateConfig makes kube-proxy take for local what comes in from an interface whose name begins with the prefix, in place of
// what comes from the cluster's pod range. The text is a KubeProxyConfiguration; everything else in it stays. A configuration
// that names another mode was written by somebody who knows better, and is returned as it is.
func MutateConfig(text, interfaceNamePrefix string) (string, error) {
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return "", fmt.Errorf("kube-proxy's configuration is no YAML: %w", err)
	}
	if kind := config["kind"]; kind != configKind {
		return "", fmt.Errorf("kube-proxy's configuration has kind %v, want %s", kind, configKind)
	}
	if mode, _ := config["detectLocalMode"].(string); mode != "" && mode != "ClusterCIDR" {
		return text, nil
	}

	// The range is not only useless without the mode ClusterCIDR: with the pods inside the nodes' range it also names hosts that
	// are no pods, and kube-proxy warns of families that it has no nodes for.
	config["clusterCIDR"] = ""
	config["detectLocalMode"] = modeInterfaceNamePrefix
	detectLocal, _ := config["detectLocal"].(map[string]any)
	if detectLocal == nil {
		detectLocal = map[string]any{}
	}
	detectLocal["interfaceNamePrefix"] = interfaceNamePrefix
	config["detectLocal"] = detectLocal

	mutated, err := yaml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("kube-proxy's configuration: %w", err)
	}
	return string(mutated), nil
}

// MutateConfigMap does MutateConfig to the ConfigMap that holds it.
func MutateConfigMap(configMap *corev1.ConfigMap, interfaceNamePrefix string) error {
	text, ok := configMap.Data[configKey]
	if !ok {
		return fmt.Errorf("configmap %s/%s has no key %q", configMap.Namespace, configMap.Name, configKey)
	}
	mutated, err := MutateConfig(text, interfaceNamePrefix)
	if err != nil {
		return fmt.Errorf("configmap %s/%s: %w", configMap.Namespace, configMap.Name, err)
	}
	configMap.Data[configKey] = mutated
	return nil
}

// MutateManagedResourceData does MutateConfigMap inside the data of a ManagedResource's Secret. Documents that are not
// kube-proxy's ConfigMap keep every byte; data without one is returned as it is.
func MutateManagedResourceData(data map[string][]byte, interfaceNamePrefix string) (map[string][]byte, error) {
	mutated := make(map[string][]byte, len(data))
	for key, value := range data {
		out, err := mutateValue(key, value, interfaceNamePrefix)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", key, err)
		}
		mutated[key] = out
	}
	return mutated, nil
}

func mutateValue(key string, value []byte, interfaceNamePrefix string) ([]byte, error) {
	compressed := strings.HasSuffix(key, resourcesv1alpha1.BrotliCompressionSuffix)
	plain := value
	if compressed {
		var err error
		if plain, err = io.ReadAll(brotli.NewReader(bytes.NewReader(value))); err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
	}

	mutated, err := mutateManifests(plain, interfaceNamePrefix)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(mutated, plain) {
		return value, nil
	}
	if !compressed {
		return mutated, nil
	}

	var buffer bytes.Buffer
	w := brotli.NewWriter(&buffer)
	if _, err := w.Write(mutated); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return buffer.Bytes(), nil
}

func mutateManifests(manifests []byte, interfaceNamePrefix string) ([]byte, error) {
	documents := bytes.Split(manifests, separator)
	for i, document := range documents {
		meta := &metav1.PartialObjectMetadata{}
		if err := yaml.Unmarshal(document, meta); err != nil {
			return nil, fmt.Errorf("document %d is no object: %w", i, err)
		}
		if meta.Kind != "ConfigMap" || meta.Namespace != metav1.NamespaceSystem || !strings.HasPrefix(meta.Name, configMapPrefix) {
			continue
		}

		// A map, because the type would add and drop fields of the document.
		configMap := map[string]any{}
		if err := yaml.Unmarshal(document, &configMap); err != nil {
			return nil, fmt.Errorf("configmap %s: %w", meta.Name, err)
		}
		data, _ := configMap["data"].(map[string]any)
		text, ok := data[configKey].(string)
		if !ok {
			return nil, fmt.Errorf("configmap %s has no key %q", meta.Name, configKey)
		}
		mutated, err := MutateConfig(text, interfaceNamePrefix)
		if err != nil {
			return nil, fmt.Errorf("configmap %s: %w", meta.Name, err)
		}
		if mutated == text {
			continue
		}
		data[configKey] = mutated
		out, err := yaml.Marshal(configMap)
		if err != nil {
			return nil, fmt.Errorf("configmap %s: %w", meta.Name, err)
		}
		documents[i] = bytes.TrimSuffix(out, []byte("\n"))
		if i == len(documents)-1 {
			documents[i] = out
		}
	}
	return bytes.Join(documents, separator), nil
}
