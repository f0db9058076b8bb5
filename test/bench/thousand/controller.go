// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	logzap "sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	configv1alpha1 "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	reservationcontroller "github.com/gardener/gardener-extension-networking-ipv6/pkg/controller/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/pool"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/ula"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// controllerEnv holds the settings of a controller process, as JSON.
const controllerEnv = "THOUSAND_CONTROLLER"

// runController is the controller process: the reservation controllers as the extension runs them, its backends pool and ula.
func runController(text string) error {
	ctrl.SetLogger(logzap.New(logzap.WriteTo(os.Stderr), logzap.Level(errorsOnly)))
	var set settings
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", set.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = float32(set.QPS), set.Burst
	scheme, err := envtest.NewScheme(addToScheme)
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
	})
	if err != nil {
		return err
	}
	store := func(name string) reservation.Store {
		return configmap.New(mgr.GetAPIReader(), mgr.GetClient(), set.Namespace, name)
	}
	pools := []reservation.Pool{{
		Name: "public", Family: prefix.IPv6, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}, MinBits: 48, MaxBits: 112,
	}}
	ready := func(r reservation.Reserver) func(reservation.Tenant) (reservation.Reserver, error) {
		return func(reservation.Tenant) (reservation.Reserver, error) { return r, nil }
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err = reservationcontroller.AddToManager(ctx, mgr, reservationcontroller.Options{
		Config:     &configv1alpha1.ControllerConfiguration{GardenID: "garden", SeedName: "seed"},
		Namespace:  set.Namespace,
		Controller: controller.Options{MaxConcurrentReconciles: set.Workers},
		Backends: []reservation.Backend{
			{
				Offer: reservation.Offer{Backend: pool.Name, Type: pool.Name, Scope: plan.Global, Family: prefix.IPv6, Pools: pools, Keeps: true},
				Open:  ready(pool.New(store("ipv6-pool-ledger"), pools, time.Now)),
			},
			{
				Offer: reservation.Offer{Backend: ula.Name, Type: ula.Name, Scope: plan.Private, Family: prefix.IPv6},
				Open:  ready(ula.New(store("ipv6-ula-ledger"), rand.Reader, time.Now)),
			},
		},
	})
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// process is the controller as seen from outside.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func startController(set settings) (*process, error) {
	variable, err := environment(set)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), variable)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop kills it: nothing of its API server is needed any more, and it would only complain of what it was about to do.
func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// used is what a process has used so far.
type used struct {
	// resident memory, now and at most, in MiB.
	now, most int
	processor time.Duration
}

func (p *process) usage() used {
	var u used
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return u
	}
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.Atoi(string(fields[1]))
		switch string(fields[0]) {
		case "VmRSS:":
			u.now = kib >> 10
		case "VmHWM:":
			u.most = kib >> 10
		}
	}
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u
	}
	// Behind the name, which is in parentheses: user and system time are the 12th and the 13th field, in hundredths of a second.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	for _, f := range fields[11:13] {
		ticks, _ := strconv.Atoi(string(f))
		u.processor += time.Duration(ticks) * 10 * time.Millisecond
	}
	return u
}
