// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/dhcpv6"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/linkprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/metadata"
)

// reporter of the node's own prefix; nil if no node of the cluster has one.
func reporter(f flags, cfg *agentconfig.Config, client kubernetes.Interface, host dataplane.Host, recorder agent.Recorder, log *slog.Logger) *agent.Reporter {
	log = log.With("subsystem", "node prefix")
	s := sources{stateDir: filepath.Join(f.stateDir, "dhcpv6"), bits: cfg.NodePrefixLengthIPv6, host: host, log: log}
	return agent.NewReporter(agent.ReporterOptions{
		Sources: cfg.NodePrefixSources, Open: s.open, Recorder: recorder, Log: log,
		Annotate: func(ctx context.Context, annotations map[string]*string) error {
			patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
			if err != nil {
				return err
			}
			_, err = client.CoreV1().Nodes().Patch(ctx, f.nodeName, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "ipv6-agent"})
			return err
		},
	})
}

// sources picks the adapter of a source.
type sources struct {
	// stateDir keeps what DHCPv6 servers delegated.
	stateDir string
	// bits is the length that is asked for where one can ask; 0: any.
	bits int
	host dataplane.Host
	log  *slog.Logger
}

func (s sources) open(ctx context.Context, source agentconfig.NodePrefixSource, own agent.Node) (nodesource.Source, error) {
	name := source.Interface
	if name == "" {
		uplink, err := s.host.Uplink(ctx, own.Addrs)
		if err != nil {
			return nil, fmt.Errorf("find the uplink: %w", err)
		}
		if name = uplink.Name; name == "" {
			return nil, fmt.Errorf("the node has no uplink: want a default route, or an interface with one of %v", own.Addrs)
		}
	}
	switch source.Source {
	case agentconfig.SourceMetadata:
		link, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", name, err)
		}
		// Clouds let packets out of the interface only that the prefix was given to.
		return metadata.New(metadata.Options{
			Provider: metadata.Provider(source.Provider), Interface: name, MAC: link.HardwareAddr.String(), Log: s.log,
		})
	case agentconfig.SourceDHCPv6PD:
		if err := os.MkdirAll(s.stateDir, 0o700); err != nil {
			return nil, err
		}
		return dhcpv6.New(dhcpv6.Options{Interface: name, Bits: s.bits, File: filepath.Join(s.stateDir, name+".json"), Log: s.log})
	case agentconfig.SourceInterface:
		return linkprefix.New(linkprefix.Options{Interface: name, Log: s.log})
	}
	return nil, fmt.Errorf("%q is no source that a node can ask", source.Source)
}
