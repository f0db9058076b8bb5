// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Option changes what Start starts.
type Option func(*envtest.Environment) error

// WithScheme registers types for the Client, beside those of Kubernetes.
func WithScheme(add ...func(*runtime.Scheme) error) Option {
	return func(env *envtest.Environment) error {
		s, err := NewScheme(add...)
		if err != nil {
			return err
		}
		env.Scheme = s
		return nil
	}
}

// WithCRDs installs CustomResourceDefinitions from files or folders; relative paths start at the repository's root.
func WithCRDs(paths ...string) Option {
	return func(env *envtest.Environment) error {
		for _, path := range paths {
			if !filepath.IsAbs(path) {
				root, err := RepositoryRoot()
				if err != nil {
					return err
				}
				path = filepath.Join(root, path)
			}
			env.CRDDirectoryPaths = append(env.CRDDirectoryPaths, path)
		}
		return nil
	}
}

// WithGardenerCRDs installs the CustomResourceDefinitions of a seed, at the pinned version of Gardener: those of
// extensions.gardener.cloud and ManagedResource.
func WithGardenerCRDs() Option {
	return func(env *envtest.Environment) error {
		dir, err := moduleDir("github.com/gardener/gardener")
		if err != nil {
			return err
		}
		return WithCRDs(
			filepath.Join(dir, "pkg/component/extensions/crds/assets"),
			filepath.Join(dir, "pkg/component/gardener/resourcemanager/assets"),
		)(env)
	}
}

// WithMonitoringCRDs installs the definition of PrometheusRule, as the pinned version of Gardener has it in its seeds.
func WithMonitoringCRDs() Option {
	return func(env *envtest.Environment) error {
		dir, err := moduleDir("github.com/gardener/gardener")
		if err != nil {
			return err
		}
		return WithCRDs(filepath.Join(dir, "example/seed-crds/10-crd-monitoring.coreos.com_prometheusrules.yaml"))(env)
	}
}

// WithWebhooks installs webhook configurations. Those that name a service are pointed at
// Controlled.WebhookInstallOptions.LocalServing{Host,Port}, with the certificate in LocalServingCertDir.
func WithWebhooks(mutating []*admissionregistrationv1.MutatingWebhookConfiguration, validating []*admissionregistrationv1.ValidatingWebhookConfiguration) Option {
	return func(env *envtest.Environment) error {
		env.WebhookInstallOptions.MutatingWebhooks = append(env.WebhookInstallOptions.MutatingWebhooks, mutating...)
		env.WebhookInstallOptions.ValidatingWebhooks = append(env.WebhookInstallOptions.ValidatingWebhooks, validating...)
		return nil
	}
}

// WithServiceRange sets the services' CIDRs, comma-separated, primary family first. Default: 10.0.0.0/24.
func WithServiceRange(cidrs string) Option {
	return func(env *envtest.Environment) error {
		args := env.ControlPlane.GetAPIServer().Configure()
		args.Set("service-cluster-ip-range", cidrs)
		if strings.Contains(strings.SplitN(cidrs, ",", 2)[0], ":") {
			// Only a name for itself, nothing listens there: kube-apiserver wants it in the services' first family.
			args.Set("advertise-address", "2001:db8::1")
		}
		return nil
	}
}

// WithAPIServerFlag sets a flag of kube-apiserver, without its dashes.
func WithAPIServerFlag(name string, values ...string) Option {
	return func(env *envtest.Environment) error {
		env.ControlPlane.GetAPIServer().Configure().Set(name, values...)
		return nil
	}
}

// WithOutput shows what kube-apiserver prints.
func WithOutput(w io.Writer) Option {
	return func(env *envtest.Environment) error {
		env.ControlPlane.GetAPIServer().Out, env.ControlPlane.GetAPIServer().Err = w, w
		return nil
	}
}

// RepositoryRoot is the folder of the go.mod above the working directory, which for a test is its package's folder.
func RepositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the repository: no go.mod above the working directory")
		}
		dir = parent
	}
}

func moduleDir(module string) (string, error) {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w: %s", module, err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
