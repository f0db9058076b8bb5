// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// metadataProgram imitates clouds' metadata servers; see test/landscape/metadata.
const metadataProgram = "landscape-metadata"

// metadataEndpoints are the addresses at which clouds' metadata servers are found, beside 169.254.169.254.
var metadataEndpoints = map[string]netip.Addr{
	"aws": netip.MustParseAddr("fd00:ec2::254"),
	"gcp": netip.MustParseAddr("fd20:ce::254"),
}

// StartMetadata runs a cloud's metadata server for one host, at the cloud's addresses, and with the prefixes that the cloud gives the
// host. Providers are those of test/nodesource/metadatafake. Without the host's network being plugged in it cannot be.
func (h *Host) StartMetadata(ctx context.Context, provider string, prefixes ...netip.Prefix) error {
	addresses := []netip.Addr{netip.MustParseAddr("169.254.169.254")}
	if more, ok := metadataEndpoints[provider]; ok {
		addresses = append(addresses, more)
	}
	if err := h.AddLoopback(ctx, addresses...); err != nil {
		return fmt.Errorf("metadata server: %w", err)
	}
	command := []string{metadataProgram, "--provider", provider, "--mac", h.MAC().String()}
	for _, a := range addresses {
		command = append(command, "--listen", netip.AddrPortFrom(a, 80).String())
	}
	for _, p := range prefixes {
		command = append(command, "--prefix", p.String())
	}
	// not a process of the node's: the cloud runs it
	host := h.l.Host(h.Name)
	return wait(ctx, "metadata server of "+h.Name, 20*time.Second, func(ctx context.Context) error {
		// again if it has ended: it does when the kernel has not made an address the machine's own yet
		if err := host.Start(ctx, Process{Name: "metadata", Command: command}); err != nil {
			return err
		}
		return host.Inside(func() error { return answers(addresses) })
	})
}

// answers tells whether somebody listens at all of the addresses.
func answers(addresses []netip.Addr) error {
	for _, a := range addresses {
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(a, 80).String(), time.Second)
		if err != nil {
			return err
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

// StartRadvd makes the router of a link advertise itself and a /64, of which hosts make their addresses.
func (l *Landscape) StartRadvd(ctx context.Context, link Link, prefix netip.Prefix) error {
	r, name := l.Router(), "radvd-"+string(link)
	file := filepath.Join(r.Dir(), name+".conf")
	config := fmt.Sprintf(`interface %s {
  AdvSendAdvert on;
  MinRtrAdvInterval 3;
  MaxRtrAdvInterval 10;
  prefix %s { AdvOnLink on; AdvAutonomous on; AdvValidLifetime 3600; AdvPreferredLifetime 1800; };
};
`, link.bridge(), prefix)
	return r.Start(ctx, Process{
		Name:    name,
		Command: []string{"radvd", "--nodaemon", "--logmethod=stderr", "--config=" + file, "--pidfile=" + filepath.Join(r.Dir(), name+".radvd")},
		Files:   []File{{Path: file, Content: []byte(config)}},
	})
}

// StopRadvd ends what StartRadvd began.
func (l *Landscape) StopRadvd(ctx context.Context, link Link) error {
	return l.Router().Stop(ctx, "radvd-"+string(link))
}

// Delegation is what a DHCPv6 server delegates from (RFC 8415).
type Delegation struct {
	// Link whose hosts are served.
	Link Link
	// Subnet of the link.
	Subnet netip.Prefix
	// Pool of prefixes, and the length of each.
	Pool netip.Prefix
	Bits int
}

func (d Delegation) process() string { return "kea-" + string(d.Link) }

func (d Delegation) dir(l *Landscape) string { return filepath.Join(l.Router().Dir(), d.process()) }

// StartKea runs Kea on the router of a link. It delegates prefixes and no addresses.
func (l *Landscape) StartKea(ctx context.Context, d Delegation) error {
	dir := d.dir(l)
	file := filepath.Join(dir, "kea.json")
	config, err := json.Marshal(map[string]any{"Dhcp6": map[string]any{
		// a link without hosts is down, and Kea then cannot listen there yet
		"interfaces-config": map[string]any{"interfaces": []string{d.Link.bridge()},
			"service-sockets-max-retries": 1000000, "service-sockets-retry-wait-time": 500},
		"lease-database": map[string]any{"type": "memfile", "persist": true, "name": filepath.Join(dir, "leases.csv"), "lfc-interval": 0},
		"server-id":      map[string]any{"type": "EN", "enterprise-id": 32473, "identifier": "C0FFEE", "persist": false},
		"renew-timer":    300, "rebind-timer": 600, "preferred-lifetime": 900, "valid-lifetime": 1200,
		"subnet6": []any{map[string]any{
			"subnet": d.Subnet.Masked().String(), "interface": d.Link.bridge(),
			"pd-pools": []any{map[string]any{"prefix": d.Pool.Addr().String(), "prefix-len": d.Pool.Bits(), "delegated-len": d.Bits}},
		}},
		"loggers": []any{map[string]any{"name": "kea-dhcp6", "severity": "INFO", "output_options": []any{map[string]any{"output": "stdout"}}}},
	}})
	if err != nil {
		return fmt.Errorf("configuration of Kea: %w", err)
	}
	return l.Router().Start(ctx, Process{
		Name:    d.process(),
		Command: []string{"kea-dhcp6", "-c", file},
		Env:     []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=" + dir},
		Files:   []File{{Path: file, Content: config}},
	})
}

// StopKea ends it, and forgets the leases.
func (l *Landscape) StopKea(ctx context.Context, d Delegation) error {
	if err := l.Router().Stop(ctx, d.process()); err != nil {
		return err
	}
	return os.RemoveAll(d.dir(l))
}

// Delegated are the prefixes that Kea has delegated, by the hardware addresses in its clients' DUIDs. A later lease of a prefix counts.
func (l *Landscape) Delegated(d Delegation) (map[netip.Prefix]string, error) {
	file, err := os.Open(filepath.Join(d.dir(l), "leases.csv"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("leases of Kea: %w", err)
	}
	defer func() { _ = file.Close() }()
	leases := map[netip.Prefix]string{}
	lines := bufio.NewScanner(file)
	lines.Scan() // the columns' names
	for lines.Scan() {
		prefix, mac, lasting, err := parseLease(lines.Text())
		switch {
		case err != nil:
			return nil, fmt.Errorf("leases of Kea: %q: %w", lines.Text(), err)
		case lasting:
			leases[prefix] = mac
		default:
			delete(leases, prefix)
		}
	}
	return leases, lines.Err()
}

// parseLease reads address, duid, valid_lifetime, ..., and, as the ninth, prefix_len. A lifetime of 0 is a lease given back.
func parseLease(line string) (prefix netip.Prefix, mac string, lasting bool, err error) {
	columns := strings.Split(line, ",")
	if len(columns) < 9 {
		return prefix, "", false, errors.New("too few columns")
	}
	address, err := netip.ParseAddr(columns[0])
	if err != nil {
		return prefix, "", false, err
	}
	bits, err := strconv.Atoi(columns[8])
	if err != nil {
		return prefix, "", false, err
	}
	// DUID-LL is 00:03:00:01 and the address
	hardware, err := net.ParseMAC(columns[1][max(0, len(columns[1])-17):])
	return netip.PrefixFrom(address, bits), hardware.String(), columns[2] != "0", err
}

// StartFrontend passes TCP connections to an address of the router on to another address: a load balancer of the infrastructure, which
// may stand between families.
func (l *Landscape) StartFrontend(ctx context.Context, name string, at, to netip.AddrPort) error {
	r := l.Router()
	if err := r.AddLoopback(ctx, at.Addr()); err != nil {
		return fmt.Errorf("load balancer %s: %w", name, err)
	}
	return r.Start(ctx, Process{
		Name:    name + "-frontend",
		Command: []string{enterProgram, "forward", "--listen", at.String(), "--net", netnsPath(r.NetNS()), "--to", to.String()},
	})
}
