// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// gardener-extension-networking-ipv6 runs in a seed, once, for all its shoots of network type "ipv6": it reserves their
// ranges, publishes them, and deploys their network.
package main

import (
	"fmt"
	"os"

	"github.com/gardener/gardener/pkg/logger"
	runtimelog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"
)

func main() {
	// Until the flags are read; the manager's own logger follows --log-level and --log-format.
	log, err := logger.NewZapLogger(logger.InfoLevel, logger.FormatJSON)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	runtimelog.SetLogger(log)

	if err := newCommand(signals.SetupSignalHandler()).Execute(); err != nil {
		log.Error(err, "Stopped")
		os.Exit(1)
	}
}
