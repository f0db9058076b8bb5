// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// stuckAfter is how many resyncs may be missed before the agent counts as dead.
const stuckAfter = 6

// Health returns an error if the agent no longer does its work.
func (a *Agent) Health() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if silent := time.Since(a.alive); silent > stuckAfter*a.Resync {
		return fmt.Errorf("no reconciliation has ended for %s", silent.Round(time.Second))
	}
	return nil
}

// Ready returns an error that says why the node is not ready for pods.
func (a *Agent) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.blocked != "" {
		return errors.New(a.blocked)
	}
	return nil
}

func (a *Agent) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for path, probe := range map[string]func() error{"/healthz": a.Health, "/readyz": a.Ready} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			if err := probe(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			_, _ = fmt.Fprintln(w, "ok")
		})
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

// serveHTTP serves until the context ends. An empty address serves nothing.
func (a *Agent) serveHTTP(ctx context.Context) error {
	if a.HTTPAddress == "" {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.HTTPAddress)
	if err != nil {
		return fmt.Errorf("serve probes and metrics: %w", err)
	}
	server := &http.Server{Handler: a.mux(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve probes and metrics: %w", err)
	}
	return nil
}
