// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package infrastructure is the webhook on infrastructures/status. It merges the shoot's reserved ranges into what the
// infrastructure provider reports, and holds the Infrastructure back from Succeeded until all of them are known.
package infrastructure

import (
	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// New makes the webhook.
func New(_ manager.Manager) (*extensionswebhook.Webhook, error) { panic("not written yet") }
