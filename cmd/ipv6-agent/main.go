// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// ipv6-agent runs on every node of a shoot: it gives pods their addresses and wires, keeps the routes between nodes, and installs the CNI
// plugin that the container runtime calls. With routing mode BGP it tells routers of the node's prefixes and Services.
//
// GoBGP sets the password of peers that connect to the node on a socket that listens, which must not be one of MPTCP (RFC 8684): that
// knows no TCP MD5.
//
//go:debug multipathtcp=0
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agent"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp/gobgp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/fastpath"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/netlink"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/nft"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip/disk"
)

// flags of the command line.
type flags struct {
	config, nodeName, kubeconfig, stateDir, addressDir string
	options                                            agent.Options
}

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "ipv6-agent:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:           "ipv6-agent",
		Short:         "Gives the pods of a node their addresses, wires and routes",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return run(ctx, f)
		},
	}
	cmd.SetContext(context.Background())
	fs := cmd.Flags()
	fs.StringVar(&f.config, "config", agentconfig.ConfigFile, "configuration file")
	fs.StringVar(&f.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of this node; by default what NODE_NAME says")
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file; by default the pod's service account")
	fs.StringVar(&f.stateDir, "state-dir", agentconfig.StateDir, "directory for what outlives a reboot: prefixes that DHCPv6 servers delegated")
	fs.StringVar(&f.addressDir, "address-dir", agentconfig.AddressDir, "directory for the addresses in use, which end with a reboot as the pods do")
	fs.StringVar(&f.options.Socket, "socket", agentconfig.Socket, "socket for the CNI plugin")
	fs.StringVar(&f.options.CNIBinDir, "cni-bin-dir", agentconfig.CNIBinDir, "where the container runtime looks for plugins")
	fs.StringVar(&f.options.CNIConfDir, "cni-conf-dir", agentconfig.CNIConfDir, "where the container runtime looks for networks")
	fs.StringVar(&f.options.PluginDir, "plugin-dir", agentconfig.PluginDir, "where the plugins to install are")
	fs.StringVar(&f.options.HTTPAddress, "http-address", agentconfig.HTTPAddress, "address of /healthz, /readyz and /metrics; empty: none")
	return cmd
}

func run(ctx context.Context, f flags) error {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if f.nodeName == "" {
		return errors.New("--node-name or NODE_NAME must name this node")
	}
	data, err := os.ReadFile(f.config)
	if err != nil {
		return fmt.Errorf("agent configuration: %w", err)
	}
	cfg, err := agentconfig.Decode(data)
	if err != nil {
		return err
	}
	client, err := connect(f.kubeconfig)
	if err != nil {
		return err
	}
	store, err := disk.New(f.addressDir)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // every write was synced
	nodes, err := agent.WatchNodes(ctx, client, f.nodeName, cfg.RoutingMode == agentconfig.Direct || cfg.RoutingMode == agentconfig.BGP || cfg.Encapsulation != nil)
	if err != nil {
		return err
	}
	speaks, err := speaking(ctx, client, f.nodeName, *cfg, log)
	if err != nil {
		return err
	}
	nodes.Wait(ctx)
	events, stop := agent.NewEvents(client, f.nodeName)
	defer stop()

	kernel := netlink.New()
	o := f.options
	o.Config, o.Nodes, o.Recorder, o.Log, o.Store = *cfg, nodes, events, log, store
	o.Wirer, o.Host, o.Masquerader, o.Guard, o.BGP = kernel, kernel, nft.New(), nft.NewGuard(), speaks
	o.Reporter = reporter(f, cfg, client, kernel, events, log)
	if fast := fastPath(cfg.FastPath, events, log); fast != nil { // an interface that holds a nil pointer is not nil
		defer fast.Close() //nolint:errcheck // the process ends
		o.FastPath = fast
	}
	a, err := agent.New(ctx, o)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// fastPath is nil if it is not wanted, or cannot be: every packet goes the ordinary way then.
func fastPath(wanted bool, recorder agent.Recorder, log *slog.Logger) *fastpath.FastPath {
	if !wanted {
		return nil
	}
	fast, err := fastpath.New()
	if err != nil {
		log.Warn(err.Error(), "reason", agent.ReasonFastPath)
		recorder.Warn(agent.ReasonFastPath, err.Error())
		return nil
	}
	return fast
}

// speaking is what routing mode BGP needs; nil with the others, which start no speaker and watch no more than nodes.
func speaking(ctx context.Context, client kubernetes.Interface, node string, cfg agentconfig.Config, log *slog.Logger) (*agent.BGP, error) {
	if cfg.RoutingMode != agentconfig.BGP {
		return nil, nil
	}
	out := &agent.BGP{Speaker: func(restarting bool) bgp.Speaker {
		return gobgp.New(gobgp.Options{Restarting: restarting, Log: log})
	}}
	services, err := agent.WatchServices(ctx, client, node, cfg)
	if err != nil {
		return nil, err
	}
	if services != nil { // an interface that holds a nil pointer is not nil
		out.Services = services
	}
	passwords, err := agent.WatchPasswords(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	if passwords != nil {
		out.Passwords = passwords
	}
	return out, nil
}

func connect(kubeconfig string) (kubernetes.Interface, error) {
	// An empty path means the pod's service account.
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	cfg.UserAgent = rest.DefaultKubernetesUserAgent()
	// It takes less time and memory than JSON, on every node, for the Nodes and Services of the whole cluster.
	cfg.ContentType, cfg.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return client, nil
}
