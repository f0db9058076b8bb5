// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/netlink"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/nft"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/disk"
)

// agentEnv makes this program the agent: it holds the directory it works in.
const agentEnv = "IPV6_BENCH_AGENT"

// addressesEnv is where the agent keeps its addresses: on usual nodes /run is in memory.
const addressesEnv = "IPV6_BENCH_ADDRESSES"

// runAgent is the agent's process: all of it but its informer.
func runAgent(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := disk.New(os.Getenv(addressesEnv))
	if err != nil {
		return err
	}
	kernel := netlink.New()
	a, err := agent.New(ctx, agent.Options{
		Config: agentconfig.Config{RoutingMode: agentconfig.Routed, IPFamilies: []string{agentconfig.IPv6}, NodePrefixLengthIPv6: 96},
		Nodes:  oneNode{}, Recorder: stderr{}, Wirer: kernel, Host: kernel, Masquerader: nft.New(), Store: store,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Socket: filepath.Join(dir, "cni.sock"), CNIBinDir: filepath.Join(dir, "cnibin"),
		CNIConfDir: filepath.Join(dir, "net.d"), PluginDir: filepath.Join(dir, "bin"), HTTPAddress: agentconfig.HTTPAddress, Resync: time.Minute,
	})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

type oneNode struct{}

// View implements agent.Nodes.
func (oneNode) View() agent.View {
	return agent.View{Own: &agent.Node{
		Name: "n1", Addrs: []netip.Addr{netip.MustParseAddr("fd00:cafe::11")},
		PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00:10::1:d000:0/100")},
	}}
}

// Changed implements agent.Nodes.
func (oneNode) Changed() <-chan struct{} { return nil }

type stderr struct{}

// Warn implements agent.Recorder.
func (stderr) Warn(reason, message string) { fmt.Fprintf(os.Stderr, "EVENT %s: %s\n", reason, message) }

// startAgent starts the agent in the node's namespace.
func startAgent(ctx context.Context, node *space, dir string) (process int, stop func(), err error) {
	for _, d := range []string{"cnibin", "net.d"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o750); err != nil {
			return 0, nil, err
		}
	}
	if err := node.uplink("fd00:cafe::11/64"); err != nil {
		return 0, nil, fmt.Errorf("uplink of the node: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, nil, err
	}
	log, err := os.Create(filepath.Join(dir, "agent.log"))
	if err != nil {
		return 0, nil, err
	}
	cmd := exec.CommandContext(ctx, exe)
	addresses, err := os.MkdirTemp("/dev/shm", "ipv6-bench-")
	if err != nil {
		return 0, nil, err
	}
	cmd.Env = append(os.Environ(), agentEnv+"="+dir, addressesEnv+"="+addresses)
	cmd.Stdout, cmd.Stderr = log, log
	if err := node.within(cmd.Start); err != nil {
		return 0, nil, fmt.Errorf("start the agent: %w", err)
	}
	return cmd.Process.Pid, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = cmd.Wait()
		_ = log.Close()
		_ = os.RemoveAll(addresses)
	}, nil
}

// awaitReady asks the agent until it is ready for pods.
func (p *plugin) awaitReady(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		_, err := p.call(ctx, dir, "STATUS", "", nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(dir, "agent.log")) // shown if it is there
			return fmt.Errorf("the agent does not get ready: %w\n%s", err, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of texts and numbers
	}
	return data
}
