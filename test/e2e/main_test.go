//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	ipv6v1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
	"github.com/gardener/gardener-extension-networking-ipv6/test/scenarios"
)

// installed is for those who iterate: garden and seed stay as they are, nothing is installed again.
var installed = flag.Bool("installed", false, "the landscape is up and everything is installed on it")

// landscape is what all tests share.
type landscape struct {
	*driver.Driver

	machine *machine.Landscape
	// api is the API server of garden and seed, which are one cluster here.
	api client.Client
}

// world is set by TestMain.
var world *landscape

func TestMain(m *testing.M) {
	flag.Parse()

	var err error
	if world, err = connect(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "the landscape does not come up: %v\n", err)
		os.Exit(1)
	}

	os.Exit(m.Run())
}

// connect brings garden and seed up with extension and admission, or finds them up.
func connect(ctx context.Context) (*landscape, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("the landscape is made of network namespaces, which needs root")
	}

	paths, err := driver.Locate()
	if err != nil {
		return nil, err
	}

	machines, err := paths.Machines()
	if err != nil {
		return nil, err
	}

	d, err := driver.Connect(ctx, os.Stdout, !*installed, scenarios.All()...)
	if err != nil {
		return nil, err
	}

	api, err := apiClient(driver.SeedKubeconfigPath(machines.Dir))

	return &landscape{Driver: d, machine: machines, api: api}, err
}

func apiClient(kubeconfig string) (client.Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, gardencorev1beta1.AddToScheme, extensionsv1alpha1.AddToScheme, ipv6v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}

	return client.New(config, client.Options{Scheme: scheme})
}

// kubectl runs kubectl as people do, with a manifest on its standard input.
func (l *landscape) kubectl(t *testing.T, kubeconfig string, manifest []byte, args ...string) {
	t.Helper()

	cmd := exec.CommandContext(t.Context(), filepath.Join(l.machine.Bin, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdin = bytes.NewReader(manifest)

	out, err := cmd.CombinedOutput()
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "kubectl %s: %s", strings.Join(args, " "), out)
}

// eventually is for what another program brings about soon.
func eventually(t *testing.T, limit time.Duration, what string, check func(g Gomega)) {
	t.Helper()
	NewWithT(t).Eventually(check).WithContext(t.Context()).WithTimeout(limit).WithPolling(250*time.Millisecond).Should(Succeed(), what)
}
