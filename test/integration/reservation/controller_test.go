// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	logzap "sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	reservationcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/ula"
)

// envController holds the settings of a controller process, as JSON.
const envController = "RESERVATION_TEST_CONTROLLER"

// settings of a controller, in this process or another.
type settings struct {
	Kubeconfig string
	// Namespace of the extension: its ledgers and tombstones.
	Namespace string
	Pools     []reservation.Pool
	// Quarantine of released prefixes.
	Quarantine time.Duration
	// Seed on which it runs.
	Seed string
	// KillAt is the point of the protocol at which the process kills itself, the first time it gets there.
	KillAt string
	// Keep is the interval of verification; zero: the default.
	Keep time.Duration
	// Mode of the garbage collection.
	Mode reservationcontroller.GarbageMode
	// Adapters of services beside.
	Adapters []adapterSettings
	// Hurry tries again at once what has failed.
	Hurry bool
	// config of the API server, if it is not the one that all tests share.
	config *rest.Config
	// Workers is how many shoots are reconciled at a time.
	Workers int
	// Garbage is the interval of the garbage collection and the age of what it frees; zero: the default.
	Garbage time.Duration
}

const gardenID = "garden-under-test"

func runController(ctx context.Context, config *rest.Config, set settings, failpoint func(string), more ...reservation.Backend) error {
	s, err := newScheme()
	if err != nil {
		return err
	}
	skip := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: s, Metrics: metricsserver.Options{BindAddress: "0"}, GracefulShutdownTimeout: new(time.Duration),
	})
	if err != nil {
		return err
	}
	store := func(name string) reservation.Store {
		return configmap.New(mgr.GetAPIReader(), mgr.GetClient(), set.Namespace, name)
	}
	for _, a := range set.Adapters {
		more = append(more, a.backend(set.Seed))
	}
	tuned := controller.Options{SkipNameValidation: &skip, MaxConcurrentReconciles: max(set.Workers, 1)}
	if set.Hurry {
		tuned.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 200*time.Millisecond)
	}
	err = reservationcontroller.AddToManager(ctx, mgr, reservationcontroller.Options{
		Config: &configv1alpha1.ControllerConfiguration{
			GardenID: gardenID, SeedName: set.Seed, Quarantine: &metav1.Duration{Duration: set.Quarantine},
		},
		Namespace:       set.Namespace,
		Backends:        append(backendsOf(store, set.Pools), more...),
		Controller:      tuned,
		Garbage:         set.Mode,
		GarbageInterval: set.Garbage, GarbageAge: set.Garbage, MeterInterval: time.Second, KeepInterval: set.Keep,
		Failpoint: failpoint,
	})
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// backendsOf are those that every seed has.
func backendsOf(store func(string) reservation.Store, pools []reservation.Pool) []reservation.Backend {
	ready := func(r reservation.Reserver) func(reservation.Tenant) (reservation.Reserver, error) {
		return func(reservation.Tenant) (reservation.Reserver, error) { return r, nil }
	}
	return []reservation.Backend{
		{
			Offer: reservation.Offer{Backend: pool.Name, Type: pool.Name, Scope: plan.Global, Family: prefix.IPv6, Pools: pools, Keeps: true},
			Open:  ready(pool.New(store(poolLedger), pools, time.Now)),
		},
		{
			Offer: reservation.Offer{Backend: ula.Name, Type: ula.Name, Scope: plan.Private, Family: prefix.IPv6},
			Open:  ready(ula.New(store(ulaLedger), rand.Reader, time.Now)),
		},
	}
}

// controllerMain is the main function of a controller process.
func controllerMain() int {
	ctrl.SetLogger(logzap.New(logzap.WriteTo(os.Stderr)))
	var set settings
	if err := json.Unmarshal([]byte(os.Getenv(envController)), &set); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	config, err := clientcmd.BuildConfigFromFlags("", set.Kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	config.QPS, config.Burst = 1000, 2000
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err = runController(ctx, config, set, func(point string) {
		if point == set.KillAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // not one instruction further
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a controller in a process of its own.
type process struct {
	cmd    *exec.Cmd
	output *bytes.Buffer
	done   chan error
}

// startProcess starts one; it ends with the test.
func startProcess(t *testing.T, set settings) *process {
	t.Helper()
	set.Kubeconfig = env.KubeconfigFile(t)
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0]), output: &bytes.Buffer{}, done: make(chan error, 1)} //nolint:gosec // this very binary
	p.cmd.Env = append(os.Environ(), envController+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start a controller: %v", err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("output of the controller with %s:\n%s", text, p.output)
		}
	})
	return p
}

// stop ends the process and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	err := <-p.done
	p.done <- err
}

// waitKilled waits until the process has killed itself.
func (p *process) waitKilled(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the controller was to be killed at its failpoint, but ended with %v:\n%s", err, p.output)
		}
	case <-time.After(patience):
		t.Fatalf("the controller did not get to its failpoint:\n%s", p.output)
	}
}

// startHere runs a controller in this process until the test ends or the returned function is called.
func startHere(t *testing.T, set settings, failpoint func(string), more ...reservation.Backend) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	config := env.Config
	if set.config != nil {
		config = set.config
	}
	go func() { done <- runController(ctx, rest.CopyConfig(config), set, failpoint, more...) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the controller ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func poolOf(name string, prefixes ...string) []reservation.Pool {
	p := reservation.Pool{Name: name, Family: prefix.IPv6, MinBits: 128, MaxBits: 120}
	for _, text := range prefixes {
		cidr := netip.MustParsePrefix(text)
		p.Prefixes = append(p.Prefixes, cidr)
		p.MinBits = min(p.MinBits, cidr.Bits())
	}
	return []reservation.Pool{p}
}
