// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig

// What the agent, its plugin and the DaemonSet that runs it agree upon. Paths are those of the node; the DaemonSet mounts each at the
// same place in the agent's container, so that one flag value is right on both sides.
//
// The DaemonSet runs the agent with hostNetwork, privileged (it writes /proc/sys/net, which is read-only otherwise, and enters the
// network namespaces of pods, which the plugin hands over as open files) and with these host paths:
//
//	CNIBinDir    DirectoryOrCreate, the plugins are installed here
//	CNIConfDir   DirectoryOrCreate, the network's list is written here
//	StateDir     DirectoryOrCreate, what outlives a reboot
//	RunDir       DirectoryOrCreate, the plugin's socket, addresses in use
//
// It needs no /run/netns, no hostPID, and of the API: get, list, watch on nodes, and patch where nodes bring their own prefixes; create,
// patch, update on events (core and events.k8s.io). Flags: --config, --node-name (or the environment's NODE_NAME), --http-address.
const (
	// ConfigFile is the default of --config.
	ConfigFile = "/etc/ipv6-agent/config.json"
	// RunDir is in memory on ordinary nodes.
	RunDir = "/run/ipv6-agent"
	// Socket is where the plugin finds the agent.
	Socket = RunDir + "/cni.sock"
	// AddressDir holds the addresses in use, one file an attachment. They end with the kernel that has the wires.
	AddressDir = RunDir + "/addresses"
	// StateDir holds what outlives a reboot: the prefixes that DHCPv6 servers delegated.
	StateDir = "/var/lib/ipv6-agent"
	// CNIBinDir is where the container runtime looks for plugins.
	CNIBinDir = "/opt/cni/bin"
	// CNIConfDir is where the container runtime looks for networks.
	CNIConfDir = "/etc/cni/net.d"
	// ConflistName is the file in CNIConfDir. It is there when, and only when, the node has been ready for pods once.
	ConflistName = "10-ipv6.conflist"
	// PluginDir is where the agent's image holds the plugins that it installs.
	PluginDir = "/opt/ipv6/bin"
	// HTTPAddress serves /healthz, /readyz and /metrics: on the loopback only, where kubelet's probes (host: "::1") reach it and the
	// internet does not.
	HTTPAddress = "[::1]:10301"
	// HTTPPort is the port of HTTPAddress.
	HTTPPort = 10301
)

// HostInterfacePrefix begins the name of the host's end of every pod's veth pair; eleven characters of a hash follow.
const HostInterfacePrefix = "v6p"

// Plugins are the programs of PluginDir that the agent installs into CNIBinDir.
func Plugins() []string { return []string{"ipv6-cni", "portmap", "loopback"} }
