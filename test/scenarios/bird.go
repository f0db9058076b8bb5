// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// bird is the BIRD Internet Routing Daemon, version 2, with the configuration that docs/bgp.md recommends.
type bird struct{}

func (bird) name() string { return "bird" }

func (bird) config(link, nodes, services netip.Prefix) string {
	return fmt.Sprintf(`router id 192.0.2.1;
log stderr all;

protocol device { scan time 5; }

protocol kernel {
  ipv6 { import none; export all; };
  merge paths on;                        # ECMP over the nodes
}

filter from_nodes {
  if net ~ [ %[1]s{%[4]d,128}, %[2]s{112,128}, %[3]s{128,128} ] then accept;
  reject;
}

protocol bgp nodes {
  local %[5]s as %[7]d;
  neighbor range %[6]s as %[8]d;
  passive on;
  hold time %[9]d;
  error wait time 2, 10;                 # a node that comes back need not wait for a minute
  graceful restart on;                   # a restarted agent loses no packet
  ipv6 {
    import filter from_nodes;
    import limit 1000 action restart;
    export none;
  };
}
`, nodes, services, loadBalancerPool, nodePrefixBits, link.Addr().Next(), link, torASN, nodesASN, holdTime)
}

func (bird) detects() time.Duration { return holdTime * time.Second }

func (b bird) start(ctx context.Context, r *rack) error {
	if err := r.Machines().SetShootGateway(ctx, netip.PrefixFrom(r.link().Addr().Next(), r.link().Bits())); err != nil {
		return err
	}

	file := filepath.Join(r.host().Dir(), "bird.conf")

	return r.host().Start(ctx, machine.Process{
		Name:    b.name(),
		Command: []string{"bird", "-f", "-c", file, "-s", b.socket(r.host())},
		Files:   []machine.File{{Path: file, Content: []byte(b.config(r.link(), r.nodesRange, r.services))}},
	})
}

func (bird) socket(host *machine.Host) string { return filepath.Join(host.Dir(), "bird.ctl") }

func (b bird) stop(ctx context.Context, host *machine.Host) error { return host.Stop(ctx, b.name()) }

func (b bird) sessions(ctx context.Context, host *machine.Host) ([]session, error) {
	out, err := host.Run(ctx, "birdc", "-s", b.socket(host), "show", "protocols", "all")
	if err != nil {
		return nil, err
	}

	return birdSessions(out)
}

// birdSessions reads `show protocols all`: a paragraph a protocol, whose lines are "Name: value".
func birdSessions(out string) ([]session, error) {
	var (
		found       []session
		current     session
		established bool
		err         error
	)

	finish := func() {
		if established && current.Peer.IsValid() {
			found = append(found, current)
		}

		current, established = session{}, false
	}

	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")

		switch value = strings.TrimSpace(value); {
		case !strings.HasPrefix(line, " "):
			finish()
		case key == "BGP state":
			established = value == "Established"
		case key == "Neighbor address":
			address, _, _ := strings.Cut(value, "%")
			if current.Peer, err = netip.ParseAddr(address); err != nil {
				return nil, fmt.Errorf("BIRD's sessions: %w", err)
			}
		case key == "Routes":
			// "2 imported, 0 exported, 2 preferred"
			count, _, _ := strings.Cut(value, " ")
			if current.Prefixes, err = strconv.Atoi(count); err != nil {
				return nil, fmt.Errorf("BIRD's sessions: %q: %w", line, err)
			}
		}
	}

	finish()

	return found, nil
}
