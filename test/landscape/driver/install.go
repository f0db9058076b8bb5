// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/chartrenderer"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/gardener/gardener-extension-networking-ipv6/charts"
)

const (
	// ExtensionNamespace is where gardenlet would install the extension; it appends random letters to it.
	ExtensionNamespace = "extension-networking-ipv6"
	// AdmissionNamespace is where gardener-operator would install the admission.
	AdmissionNamespace = "garden"

	extensionName = "gardener-extension-networking-ipv6"
	admissionName = "gardener-extension-admission-ipv6"
)

// Pool is what the operator of the landscape gives to the extension for global addresses: a part of the documentation
// prefix 3fff::/20 of RFC 9637, routed on this machine and nowhere else.
var Pool = netip.MustParsePrefix("3fff:6::/40")

// Quarantine of released prefixes, short enough to watch.
const Quarantine = 2 * time.Minute

// installExtension installs the chart of the extension as gardenlet does for a ControllerInstallation.
func (d *Driver) installExtension(ctx context.Context) error {
	if err := d.namespace(ctx, ExtensionNamespace, map[string]string{
		constants.GardenRole:                      constants.GardenRoleExtension,
		constants.LabelControllerRegistrationName: "networking-ipv6",
	}); err != nil {
		return err
	}

	values := map[string]any{
		"image":        imageValues(d.machine.Image(extensionName)),
		"replicaCount": 1,
		// The seed has no gardener-resource-manager of its own that would project tokens into pods.
		"serviceAccount": map[string]any{"automountToken": true},
		"vpa":            map[string]any{"enabled": false},
		"config": map[string]any{
			"pools":      []any{map[string]any{"name": "landscape", "prefixes": []any{Pool.String()}, "maxPrefixLength": 112}},
			"quarantine": Quarantine.String(),
		},
		"imageVectorOverwrite": map[string]any{"images": []any{
			imageOverwrite(charts.ImageAgent, d.machine.Image(charts.ImageAgent)),
			imageOverwrite(charts.ImageIPAMController, d.machine.Image(charts.ImageIPAMController)),
		}},
		"gardener": map[string]any{
			"version": gardenerVersion,
			"garden":  map[string]any{"clusterIdentity": gardenID},
		},
	}

	if err := d.installChart(ctx, charts.ExtensionPath, extensionName, ExtensionNamespace, values); err != nil {
		return err
	}

	return d.waitFor(ctx, ExtensionNamespace, extensionName, 2*time.Minute)
}

// installAdmission installs the two charts of the admission as gardener-operator does. Garden and runtime cluster are one here.
func (d *Driver) installAdmission(ctx context.Context) error {
	if err := d.installChart(ctx, charts.AdmissionApplicationPath, admissionName, AdmissionNamespace, map[string]any{
		"gardener": map[string]any{"virtualCluster": map[string]any{
			"enabled":        false,
			"serviceAccount": map[string]any{"name": admissionName, "namespace": AdmissionNamespace},
		}},
	}); err != nil {
		return err
	}

	values := map[string]any{
		"image":        imageValues(d.machine.Image(admissionName)),
		"replicaCount": 1,
		"vpa":          map[string]any{"enabled": false},
		"gardener":     map[string]any{"runtimeCluster": map[string]any{"priorityClassName": constants.PriorityClassNameShootControlPlane400}},
	}

	if err := d.installChart(ctx, charts.AdmissionRuntimePath, admissionName, AdmissionNamespace, values); err != nil {
		return err
	}

	return d.waitFor(ctx, AdmissionNamespace, admissionName, 2*time.Minute)
}

func (d *Driver) installChart(ctx context.Context, path, release, namespace string, values map[string]any) error {
	renderer := chartrenderer.NewWithServerVersion(&version.Info{GitVersion: "v" + kubernetesVersion, Major: "1", Minor: "36"})

	chart, err := renderer.RenderEmbeddedFS(charts.FS, path, release, namespace, values)
	if err != nil {
		return fmt.Errorf("chart %s: %w", path, err)
	}

	// An object of a kind that the chart itself defines can be created as soon as the definition is served.
	return until(ctx, waiting{what: "the objects of chart " + path + " to be accepted", limit: 30 * time.Second}, func(ctx context.Context) error {
		return applyManifest(ctx, d.seed.Client(), chart.Manifest())
	})
}

// waitForWebhooks waits until the programs have registered their webhooks: before that a Shoot's keywords would be refused, and an
// Infrastructure would not be held.
func (d *Driver) waitForWebhooks(ctx context.Context) error {
	return until(ctx, waiting{
		what:  "the webhooks of extension and admission to be registered",
		limit: time.Minute,
		logs:  d.hint("-n "+ExtensionNamespace+" logs deploy/"+extensionName) + " and " + d.hint("-n "+AdmissionNamespace+" logs deploy/"+admissionName),
	}, func(ctx context.Context) error {
		mutating := &admissionregistrationv1.MutatingWebhookConfigurationList{}
		if err := d.seed.Client().List(ctx, mutating); err != nil {
			return err
		}

		validating := &admissionregistrationv1.ValidatingWebhookConfigurationList{}
		if err := d.seed.Client().List(ctx, validating); err != nil {
			return err
		}

		found := map[string]bool{}

		for _, item := range mutating.Items {
			for _, webhook := range item.Webhooks {
				for _, rule := range webhook.Rules {
					for _, resource := range rule.Resources {
						found["mutating "+resource] = found["mutating "+resource] || len(webhook.ClientConfig.CABundle) > 0
					}
				}
			}
		}

		for _, item := range validating.Items {
			for _, webhook := range item.Webhooks {
				for _, rule := range webhook.Rules {
					for _, resource := range rule.Resources {
						found["validating "+resource] = found["validating "+resource] || len(webhook.ClientConfig.CABundle) > 0
					}
				}
			}
		}

		for _, want := range []string{"mutating shoots", "validating shoots", "mutating infrastructures/status", "mutating deployments"} {
			if !found[want] {
				return fmt.Errorf("no webhook is %s", want)
			}
		}

		return nil
	})
}

// splitImage takes REPOSITORY:TAG apart.
func splitImage(reference string) (repository, tag string) {
	at := strings.LastIndex(reference, ":")

	return reference[:at], reference[at+1:]
}

func imageValues(reference string) map[string]any {
	repository, tag := splitImage(reference)

	return map[string]any{"repository": repository, "tag": tag}
}

func imageOverwrite(name, reference string) map[string]any {
	repository, tag := splitImage(reference)

	return map[string]any{"name": name, "repository": repository, "tag": tag}
}
