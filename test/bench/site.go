// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/fastpath"
	ournetlink "github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane/netlink"
)

// site is two nodes on the link that all sites share, and their pods: two on the first node, one on the second.
type site struct {
	name  string
	nodes [2]place
	pods  [3]place
}

// ranges of a site: each node has its address, and a range for its pods.
func nodeAddr(site, node int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fd00:cafe::%x:%x", site+1, node+1))
}

func podRange(site, node int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("fd00:10::%x:%x:0/112", site+1, node+1))
}

// podsNode is the node that a pod is on.
func podsNode(pod int) int { return pod / 2 }

// newLink makes the switch between the nodes.
func newLink(s *space) error {
	return s.within(func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
		if err := errors.Join(netlink.LinkAdd(bridge), netlink.LinkSetUp(bridge)); err != nil {
			return err
		}
		// Frames between ports are no business of the firewall, which a bridge in a namespace of its own asks by default.
		err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-ip6tables", []byte("0"), 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

// plug gives a node its eth0 on the link.
func plug(link *space, port string, node place) error {
	err := node.within(func() error {
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0),
			os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0))
	})
	if err != nil {
		return err
	}
	err = link.within(func() error {
		bridge, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MasterIndex = port, bridge.Attrs().Index
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(node.handle)}
		return errors.Join(netlink.LinkAdd(pair), netlink.LinkSetUp(pair))
	})
	if err != nil {
		return err
	}
	return node.within(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		own := &netlink.Addr{IPNet: netOf(netip.PrefixFrom(node.addr, 64)), Flags: unix.IFA_F_NODAD}
		return errors.Join(netlink.LinkSetUp(eth0), netlink.AddrAdd(eth0, own))
	})
}

func netOf(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// proxy is what kube-proxy's presence means to a packet: connections are tracked, and each new one is looked up in a map of services.
const proxy = `table ip6 kube-proxy {
	map service-ips { type ipv6_addr . inet_proto . inet_service : verdict; elements = { fd00:30::1 . tcp . 80 : goto service } }
	chain service { meta l4proto tcp dnat to [fd00:30::2]:80; }
	chain services { ip6 daddr . meta l4proto . th dport vmap @service-ips; }
	chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
	chain nat-output { type nat hook output priority -100; jump services; }
	chain nat-postrouting { type nat hook postrouting priority srcnat; meta mark & 0x00004000 != 0 masquerade; }
	chain filter-forward { type filter hook forward priority -110; ct state new jump services-filter; }
	chain services-filter { ip6 daddr . meta l4proto . th dport vmap { fd00:30::3 . tcp . 80 : drop }; }
}`

// track loads proxy into a node.
func track(ctx context.Context, node place) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(proxy)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := node.within(cmd.Run); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out.String())
	}
	return nil
}

// newSite makes nodes and pods, without a network for the pods.
func newSite(ctx context.Context, number int, name string, link *space, spaces spaces, tracked bool) (*site, error) {
	s := &site{name: name}
	for i := range s.nodes {
		s.nodes[i] = place{space: spaces[i], addr: nodeAddr(number, i)}
		if err := plug(link, fmt.Sprintf("port%d-%d", number, i), s.nodes[i]); err != nil {
			return nil, fmt.Errorf("node %d of %s: %w", i, name, err)
		}
		if tracked {
			if err := track(ctx, s.nodes[i]); err != nil {
				return nil, err
			}
		}
	}
	for i := range s.pods {
		s.pods[i] = place{space: spaces[len(s.nodes)+i]}
		if err := s.pods[i].setDAD("0"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// paths are the fast paths of all nodes, which end with the process.
var paths []*fastpath.FastPath

// quick is ours with the fast path.
func (s *site) quick(ctx context.Context, number int) error {
	if err := s.ours(ctx, number); err != nil {
		return err
	}
	for i, node := range s.nodes {
		f, err := fastpath.New()
		if err != nil {
			return err
		}
		paths = append(paths, f)
		err = node.within(func() error {
			errs := []error{f.Uplink("eth0")}
			for j := range s.pods {
				if podsNode(j) == i {
					errs = append(errs, f.Add(s.wire(j)))
				}
			}
			return errors.Join(errs...)
		})
		if err != nil {
			return fmt.Errorf("node %d of %s: %w", i, s.name, err)
		}
	}
	return nil
}

func (s *site) wire(pod int) dataplane.Wire {
	return dataplane.Wire{
		HostInterface: dataplane.HostInterface(fmt.Sprint(s.name, pod)), PodInterface: "eth0", Owner: "bench/eth0 bench", MTU: 1500,
		Addrs: []netip.Addr{s.pods[pod].addr},
	}
}

// ours wires the pods as the agent does.
func (s *site) ours(ctx context.Context, number int) error {
	for i, node := range s.nodes {
		err := node.within(func() error {
			k := ournetlink.New()
			uplink, err := k.Uplink(ctx, []netip.Addr{node.addr})
			if err != nil {
				return err
			}
			_, err = k.Apply(ctx, dataplane.Plan(dataplane.Intent{
				Uplink: uplink, IPv6: true, Own: []netip.Prefix{podRange(number, i)},
				Peers: []dataplane.Peer{{Name: "other", Prefixes: []netip.Prefix{podRange(number, 1-i)}, Device: uplink.Name, Via: nodeAddr(number, 1-i)}},
			}))
			return err
		})
		if err != nil {
			return fmt.Errorf("node %d of %s: %w", i, s.name, err)
		}
	}
	for i := range s.pods {
		pod, node := &s.pods[i], s.nodes[podsNode(i)]
		pod.addr = podRange(number, podsNode(i)).Addr().Next()
		if i == 1 {
			pod.addr = pod.addr.Next()
		}
		file, err := os.Open(pod.path)
		if err != nil {
			return err
		}
		err = node.within(func() error {
			return ournetlink.New().Wire(ctx, file, s.wire(i))
		})
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("pod %d of %s: %w", i, s.name, err)
		}
	}
	return nil
}

// reference wires the pods by ptp and host-local, with static routes between the nodes.
func (s *site) reference(ctx context.Context, number int, dir string) error {
	for i, node := range s.nodes {
		other := &netlink.Route{Dst: netOf(podRange(number, 1-i)), Gw: nodeAddr(number, 1-i).AsSlice()}
		if err := node.within(func() error { return netlink.RouteAdd(other) }); err != nil {
			return fmt.Errorf("route on node %d of %s: %w", i, s.name, err)
		}
	}
	for i := range s.pods {
		on := podsNode(i)
		p := ptp("ptp", s.nodes[on].space, filepath.Join(dir, fmt.Sprint("site", number, on)), "0", 1)
		p.conf["ipam"].(map[string]any)["ranges"] = [][]map[string]string{{{"subnet": podRange(number, on).String()}}}
		if _, err := p.call(ctx, dir, "ADD", fmt.Sprint("pod", i), s.pods[i].space); err != nil {
			return err
		}
		err := s.pods[i].within(func() (err error) {
			s.pods[i].addr, err = globalAddr("eth0")
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func globalAddr(name string) (netip.Addr, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return netip.Addr{}, err
	}
	found, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, f := range found {
		if a, ok := netip.AddrFromSlice(f.IP); ok && a.IsGlobalUnicast() {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address", name)
}
