// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Names of the processes of a node.
const (
	ContainerdProcess = "containerd"
	KubeletProcess    = "kubelet"
	KubeProxyProcess  = "kube-proxy"
)

// systemGroup is the cgroup below a node's that holds its daemons.
const systemGroup = "system"

// NodeConfig says what a Kubernetes node looks like.
type NodeConfig struct {
	// HostConfig of the node; the first of Addresses is the node's InternalIP, as is the first of the other family.
	HostConfig
	// Cluster is the one it joins. Without it Kubeconfig and ClientCA say the same.
	Cluster *Cluster
	// Kubeconfig is kubelet's, and ClientCA (PEM) the authority of those who may call kubelet.
	Kubeconfig, ClientCA []byte
	// ServingCert and ServingKey (PEM) are kubelet's own; without them it signs its certificate itself.
	ServingCert, ServingKey []byte
	// ClusterDNS are the addresses pods use as resolvers.
	ClusterDNS []netip.Addr
	// Labels the node registers with.
	Labels map[string]string
	// ProviderID of the node.
	ProviderID string
	// Images are docker archives, made by package image, to import before kubelet starts.
	Images []string
	// CNIPlugins are names of built reference plugins (see package build) that the node has from the start.
	CNIPlugins []string
	// CNIConfig is a network configuration list that the node has from the start. Without one the node isn't ready
	// until something installs one in /etc/cni/net.d.
	CNIConfig []byte
	// KubeletArgs are appended to kubelet's flags; they win.
	KubeletArgs []string
	// MaxPods of the node; 60 if zero.
	MaxPods int
}

// Node is a host with a disk, a container runtime and a kubelet.
//
// It sees the machine's files, but has its own /run, /proc, /sys, /etc/cni, /opt/cni, /var/lib/{kubelet,containerd,cni,
// ipv6-agent} and /var/log/{pods,containers}.
type Node struct {
	*Host
}

// Node gives a handle on a node, whether it is up or not.
func (l *Landscape) Node(name string) *Node {
	return &Node{Host: &Host{Name: name, l: l, node: true}}
}

// StartNode brings a node up: its namespaces, containerd, the images and kubelet. It doesn't wait for the node to be Ready.
func (l *Landscape) StartNode(ctx context.Context, cfg NodeConfig) (*Node, error) {
	if len(cfg.Addresses) == 0 {
		return nil, fmt.Errorf("node %s: it needs an address", cfg.Name)
	}
	n, err := l.PrepareNode(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := n.startKubelet(ctx, cfg); err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return n, nil
}

// PrepareNode brings up of a node all that needs no API server and no address: its namespaces, containerd and the images.
func (l *Landscape) PrepareNode(ctx context.Context, cfg NodeConfig) (*Node, error) {
	if _, err := l.StartHost(ctx, cfg.HostConfig); err != nil {
		return nil, err
	}
	n := l.Node(cfg.Name)
	for _, step := range []func(context.Context, NodeConfig) error{n.boot, n.installCNI, n.startContainerd, n.importAll} {
		if err := step(ctx, cfg); err != nil {
			return nil, fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	return n, nil
}

// Up tells whether the node's first process is alive.
func (n *Node) Up() bool {
	_, alive := readPIDFile(n.pidFile("init"))
	return alive
}

// PowerOff is a power cut: every process of the node ends at once, its disk and its place on the link stay.
func (n *Node) PowerOff(ctx context.Context) error {
	// first: the kernel would end the connections of processes that are killed, and tell the other ends
	if err := n.l.unplug(n.Name); err != nil {
		return fmt.Errorf("power cut of node %s: %w", n.Name, err)
	}
	if pid, alive := readPIDFile(n.pidFile("init")); alive {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := n.group().Kill(killLimit); err != nil {
		return fmt.Errorf("power cut of node %s: %w", n.Name, err)
	}
	// the first process leaves its cgroup before its PID namespace is taken down
	if err := wait(ctx, "power cut of node "+n.Name, killLimit, func(context.Context) error {
		if n.Up() {
			return errors.New("its first process is still ending")
		}
		return nil
	}); err != nil {
		return err
	}
	// what a reboot clears: the network's state
	err := errors.Join(removeNetNS(n.NetNS()), n.l.unplug(n.Name), n.group().Remove())
	if err != nil {
		return fmt.Errorf("power cut of node %s: %w", n.Name, err)
	}
	return ctx.Err()
}

// StartKubeProxy runs kube-proxy with the given KubeProxyConfiguration (YAML). The clientConnection.kubeconfig in it
// has to be a file of the machine, such as Cluster.Kubeconfig gives.
func (n *Node) StartKubeProxy(ctx context.Context, config []byte) error {
	file := filepath.Join(n.Dir(), "kube-proxy.yaml")
	return n.Start(ctx, Process{
		Name:    KubeProxyProcess,
		Command: []string{"kube-proxy", "--config=" + file},
		Files:   []File{{Path: file, Content: config}},
	})
}

// Path translates a path on the node below one of its own directories (for example /etc/cni/net.d/x) to the machine's.
func (n *Node) Path(path string) string { return filepath.Join(n.Dir(), "root", path) }

// ImportImages imports docker archives into the node's container runtime, those that changed since the last time.
func (n *Node) ImportImages(ctx context.Context, archives ...string) error {
	for _, archive := range archives {
		info, err := os.Stat(archive)
		if err != nil {
			return fmt.Errorf("images for %s: %w", n.Name, err)
		}
		mark := n.Path("/var/lib/containerd/imported-" + filepath.Base(archive))
		want := fmt.Sprintf("%s %d %d", archive, info.Size(), info.ModTime().UnixNano())
		if have, err := os.ReadFile(mark); err == nil && string(have) == want { // #nosec G304 -- our own directory
			continue
		}
		if _, err := n.Run(ctx, "ctr", "--namespace", "k8s.io", "images", "import", "--local", archive); err != nil {
			return fmt.Errorf("images for %s: %w", n.Name, err)
		}
		if err := writeFile(mark, []byte(want)); err != nil {
			return fmt.Errorf("images for %s: %w", n.Name, err)
		}
	}
	return nil
}

// boot starts the node's first process in new namespaces.
func (n *Node) boot(ctx context.Context, _ NodeConfig) error {
	if n.Up() {
		return nil
	}
	plain := n.l.Host(n.Name)
	ready := filepath.Join(n.Dir(), "ready")
	if err := removeFile(ready); err != nil {
		return err
	}
	line, err := plain.enter("boot", "--pidfile", n.pidFile("init"), "--log", n.LogFile("init"),
		"--hostname", n.Name, "--root", filepath.Join(n.Dir(), "root"), "--system", systemGroup, "--ready", ready)
	if err != nil {
		return err
	}
	out, err := plain.machineCommand(ctx, line[:len(line)-1]).CombinedOutput()
	if err != nil {
		return fmt.Errorf("boot: %w: %s", err, lastLines(string(out), 5))
	}
	return wait(ctx, "boot", 30*time.Second, func(context.Context) error {
		if !n.Up() {
			return fmt.Errorf("its first process ended: %s", n.LogTail("init", 5))
		}
		_, err := os.Stat(ready)
		return err
	})
}

func (n *Node) installCNI(_ context.Context, cfg NodeConfig) error {
	for _, plugin := range cfg.CNIPlugins {
		if err := copyProgram(n.l.program("cni/"+plugin), n.Path("/opt/cni/bin/"+plugin)); err != nil {
			return fmt.Errorf("CNI plugin %s: %w", plugin, err)
		}
	}
	if cfg.CNIConfig == nil {
		return nil
	}
	return writeFile(n.Path("/etc/cni/net.d/10-landscape.conflist"), cfg.CNIConfig)
}

func (n *Node) importAll(ctx context.Context, cfg NodeConfig) error {
	return n.ImportImages(ctx, cfg.Images...)
}

func (n *Node) startContainerd(ctx context.Context, _ NodeConfig) error {
	file := filepath.Join(n.Dir(), "containerd.toml")
	err := n.Start(ctx, Process{
		Name:    ContainerdProcess,
		Command: []string{"containerd", "--config", file, "--log-level", "warn"},
		Files:   []File{{Path: file, Content: []byte(containerdConfig())}},
	})
	if err != nil {
		return err
	}
	err = wait(ctx, "containerd", time.Minute, func(ctx context.Context) error {
		_, err := n.Run(ctx, "ctr", "version")
		return err
	})
	if err != nil {
		return fmt.Errorf("%w; its log ends with\n%s", err, n.LogTail(ContainerdProcess, 5))
	}
	return nil
}

func (n *Node) startKubelet(ctx context.Context, cfg NodeConfig) error {
	paths, files, err := n.credentials(cfg)
	if err != nil {
		return err
	}
	config, err := kubeletConfig(cfg, paths)
	if err != nil {
		return err
	}
	file := filepath.Join(n.Dir(), "kubelet.yaml")
	command := []string{"kubelet", "--config=" + file, "--kubeconfig=" + paths.kubeconfig, "--hostname-override=" + n.Name,
		"--node-ip=" + nodeIPs(cfg.Addresses), "--root-dir=/var/lib/kubelet"}
	if len(cfg.Labels) > 0 {
		var labels []string
		for _, k := range slices.Sorted(maps.Keys(cfg.Labels)) {
			labels = append(labels, k+"="+cfg.Labels[k])
		}
		command = append(command, "--node-labels="+strings.Join(labels, ","))
	}
	command = append(command, cfg.KubeletArgs...)
	return n.Start(ctx, Process{Name: KubeletProcess, Command: command, Files: append(files, File{Path: file, Content: config})})
}

// nodeIPs are the first address and the first one of the other family, as kubelet takes them.
func nodeIPs(addresses []netip.Prefix) string {
	first := addresses[0].Addr()
	for _, a := range addresses[1:] {
		if a.Addr().Is4() != first.Is4() {
			return first.String() + "," + a.Addr().String()
		}
	}
	return first.String()
}

// kubeletPaths are the files of kubelet's credentials; those not given are empty.
type kubeletPaths struct {
	kubeconfig, clientCA, cert, key string
}

// credentials says where kubelet's credentials are, and which of these files have to be written first.
func (n *Node) credentials(cfg NodeConfig) (kubeletPaths, []File, error) {
	if cfg.Cluster != nil {
		kubeconfig, err := cfg.Cluster.Kubeconfig("system:node:"+n.Name, "system:nodes")
		return kubeletPaths{kubeconfig: kubeconfig, clientCA: cfg.Cluster.CAFile()}, nil, err
	}
	var paths kubeletPaths
	var files []File
	for _, f := range []struct {
		name    string
		content []byte
		path    *string
	}{
		{"kubelet.kubeconfig", cfg.Kubeconfig, &paths.kubeconfig}, {"kubelet-client-ca.crt", cfg.ClientCA, &paths.clientCA},
		{"kubelet.crt", cfg.ServingCert, &paths.cert}, {"kubelet.key", cfg.ServingKey, &paths.key},
	} {
		if len(f.content) > 0 {
			*f.path = filepath.Join(n.Dir(), f.name)
			files = append(files, File{Path: *f.path, Content: f.content})
		}
	}
	return paths, files, nil
}

// copyProgram copies beside and renames: a program that runs can't be written to.
func copyProgram(from, to string) error {
	in, err := os.Open(from) // #nosec G304 -- our own directory
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	out, err := os.OpenFile(to+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755) // #nosec G302,G304 -- a program
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}
