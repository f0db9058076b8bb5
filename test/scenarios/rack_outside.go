// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/capture"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/probe"
)

// checkAPIServer asks the Shoot's API server who it is, from outside, at an address that nobody but the nodes announces. Its certificate
// must be good for that address. The endpoint of the Service kubernetes is the control plane in the seed, so that the node which the
// router chose forwards there with its own address, and back.
func (r *rack) checkAPIServer(ctx context.Context) (string, error) {
	service, err := r.service(ctx, corev1.NamespaceDefault, "kubernetes")
	if err != nil {
		return "", err
	}

	config, err := r.ShootConfig(ctx)
	if err != nil {
		return "", err
	}

	config.Host, config.ServerName = "https://["+service.Spec.ClusterIP+"]:443", service.Spec.ClusterIP
	config.Dial = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = r.outside().Inside(func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)

			return err
		})

		return conn, err
	}

	// each call a connection of its own, over another node
	for n := range r.Scenario.Nodes * 4 {
		if err := readyz(ctx, rest.CopyConfig(config)); err != nil {
			return "", fmt.Errorf("call %d: %w", n+1, err)
		}
	}

	return service.Spec.ClusterIP + ": ready, with a certificate for it", nil
}

func readyz(ctx context.Context, config *rest.Config) error {
	// clients with equal configurations share connections, but for those with a dialer of their own
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}

	defer client.CloseIdleConnections()

	client.Timeout = 10 * time.Second

	text, err := probe.Get(ctx, client, config.Host+"/readyz")
	if err == nil && text != "ok" {
		err = fmt.Errorf("%s answers %q", config.Host, text)
	}

	return err
}

// checkUnallocated calls an address in the range of Services that no Service has. The router sends it to a node, because the whole range
// is announced; the node must say that there is nobody, and not send it back to the router, which would send it to a node.
func (r *rack) checkUnallocated(ctx context.Context) (string, error) {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return "", err
	}

	address, err := r.unallocated(ctx)
	if err != nil {
		return "", err
	}

	told := map[string]bool{}
	// An answer may come when the capture has ended, on a busy machine.
	for tries := 0; len(told) == 0; tries++ {
		if told, err = r.answersTo(nodes, address); err != nil {
			return "", err
		}

		if len(told) == 0 && tries == 4 {
			return "", fmt.Errorf("no node told that %s is unreachable", address)
		}
	}

	// The router asks one node; all of them must be ready to refuse.
	for _, name := range names(nodes) {
		rules, err := r.Machines().Node(name).Run(ctx, "ip", "-6", "rule")
		if err != nil {
			return "", err
		}

		if !strings.Contains(rules, "to "+r.services.String()+" unreachable") {
			return "", fmt.Errorf("%s does not refuse what is for no Service of %s: its rules are\n%s", name, r.services, rules)
		}
	}

	begin := time.Now()
	if err := r.refused(netip.AddrPortFrom(address, 80)); err != nil {
		return "", fmt.Errorf("a connection to %s, which no Service has: %w", address, err)
	}

	return fmt.Sprintf("%s: %d packets to nodes, 0 back, %q said unreachable; a connection ends after %.1f s", address, strayCalls,
		slices.Sorted(maps.Keys(told)), time.Since(begin).Seconds()), nil
}

// strayCalls are the packets of answersTo.
const strayCalls = 3

// answersTo packets to an address that no Service has: the nodes that said it is unreachable. It is an error if a packet comes back.
func (r *rack) answersTo(nodes []node, address netip.Addr) (map[string]bool, error) {
	to := netip.AddrPortFrom(address, 9)

	packets, err := r.captured(func() error { return r.sendDatagrams(to, strayCalls) })
	if err != nil {
		return nil, err
	}

	toNodes, back, told := 0, 0, map[string]bool{}

	for _, p := range packets {
		switch {
		case !strings.HasPrefix(p.Interface, bridgePrefix):
			// a port of a bridge: the same packet is seen at the bridge
		case p.Destination == address && p.Interface != bridgePrefix+string(machine.OutsideLink) && p.Out:
			toNodes++
		case p.Destination == address && p.Interface != bridgePrefix+string(machine.OutsideLink):
			back++
		case p.Protocol == unix.IPPROTO_ICMPV6 && p.Type == icmpUnreachable && p.Destination == r.OutsideAddress() && p.Out:
			// The router itself may speak of another packet meanwhile.
			if name := holder(nodes, p.Source, ""); slices.Contains(names(nodes), name) {
				told[name] = true
			}
		}
	}

	if toNodes != strayCalls || back != 0 {
		return nil, fmt.Errorf("of %d packets to %s the router sent %d to nodes and got %d back, want none back", strayCalls, address, toNodes, back)
	}

	return told, nil
}

// sendDatagrams from outside.
func (r *rack) sendDatagrams(to netip.AddrPort, count int) error {
	return r.outside().Inside(func() error {
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			return err
		}

		defer func() { _ = conn.Close() }()

		for range count {
			if _, err := conn.WriteToUDPAddrPort([]byte("anybody?"), to); err != nil {
				return err
			}
		}

		return nil
	})
}

// icmpUnreachable is the type of ICMPv6's Destination Unreachable, whatever the code.
const icmpUnreachable = 1

// refused expects a connection from outside to be refused by the network.
func (r *rack) refused(to netip.AddrPort) error {
	err := r.outside().Inside(func() error {
		conn, err := net.DialTimeout("tcp", to.String(), 3*time.Second)
		if err == nil {
			_ = conn.Close()
		}

		return err
	})

	switch {
	case err == nil:
		return errors.New("somebody answers")
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EACCES):
		return nil
	}

	return fmt.Errorf("want it to be refused at once: %w", err)
}

// unallocated is the last address of the range of Services that no Service has.
func (r *rack) unallocated(ctx context.Context) (netip.Addr, error) {
	api, err := r.API(ctx)
	if err != nil {
		return netip.Addr{}, err
	}

	list := &corev1.ServiceList{}
	if err := api.List(ctx, list); err != nil {
		return netip.Addr{}, fmt.Errorf("listing Services: %w", err)
	}

	bytes := r.services.Addr().As16()
	bytes[14], bytes[15] = 0xff, 0xff

	address := netip.AddrFrom16(bytes)
	for slices.ContainsFunc(list.Items, func(s corev1.Service) bool { return slices.Contains(s.Spec.ClusterIPs, address.String()) }) {
		address = address.Prev()
	}

	return address, nil
}

// captured records what passes the router while something is done.
func (r *rack) captured(act func() error) ([]capture.Packet, error) {
	recording, err := capture.Start(r.host())
	if err != nil {
		return nil, err
	}

	acted := act()
	packets, err := recording.Stop()

	return packets, errors.Join(acted, err)
}

// checkNative lets pods call one another and the host outside, and is called from there, while packets are recorded at the router, at each
// node's port. Every connection must bear the caller's own address, and none may be wrapped.
func (r *rack) checkNative(ctx context.Context) (string, error) {
	pods, err := r.Workload(ctx)
	if err != nil {
		return "", err
	}

	type way struct{ from, to netip.AddrPort }

	var (
		want    = map[way]bool{}
		outside = r.OutsideAddress()
		web     []netip.Addr
	)

	for _, pod := range pods {
		address, err := netip.ParseAddr(pod.Status.PodIP)
		if err != nil {
			return "", fmt.Errorf("address of pod %s: %w", pod.Name, err)
		}

		web = append(web, address)
	}

	packets, err := r.captured(func() error {
		for i, pod := range pods {
			next := web[(i+1)%len(web)]

			for _, to := range []netip.AddrPort{netip.AddrPortFrom(next, webPort), netip.AddrPortFrom(outside, driver.OutsidePort)} {
				if _, err := r.Exec(ctx, pod.Namespace, pod.Name, "curl", "--silent", "--show-error", "--globoff", "--max-time", "5",
					"http://"+to.String()+"/hostname"); err != nil {
					return err
				}

				want[way{netip.AddrPortFrom(web[i], 0), to}] = true
			}

			to := netip.AddrPortFrom(web[i], webPort)
			if _, err := probe.Get(ctx, probe.Client(r.outside()), "http://"+to.String()+"/hostname"); err != nil {
				return err
			}

			want[way{netip.AddrPortFrom(outside, 0), to}] = true
		}

		return nil
	})
	if err != nil {
		return "", err
	}

	seen := map[way]bool{}

	for _, p := range packets {
		if p.Encapsulated() {
			return "", fmt.Errorf("a packet is wrapped: %s", p)
		}

		if p.SYN && p.DestinationPort == webPort {
			seen[way{netip.AddrPortFrom(p.Source, 0), netip.AddrPortFrom(p.Destination, p.DestinationPort)}] = true
		}
	}

	for w := range want {
		if !seen[w] {
			return "", fmt.Errorf("no connection from %s to %s passed the router", w.from.Addr(), w.to)
		}
	}

	for w := range seen {
		if !want[w] {
			return "", fmt.Errorf("a connection from %s to %s passed the router, which nobody opened: is an address translated?", w.from.Addr(), w.to)
		}
	}

	return fmt.Sprintf("%d packets captured, %d connections, each with the caller's own address", len(packets), len(want)), nil
}
