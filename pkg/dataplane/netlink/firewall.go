// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ForwardDrops implements dataplane.Host. It asks nf_tables directly, so the agent's image needs no nft for it; iptables in its usual
// form (iptables-nft) shows up there, too.
func (k *Kernel) ForwardDrops(context.Context) ([]string, error) {
	var out []string
	for family, name := range map[uint8]string{unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV6: "ip6", unix.NFPROTO_IPV4: "ip"} {
		chains, err := dump(func() ([][]byte, error) { return listChains(family) })
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOENT) {
			continue // a kernel without nf_tables, or without the family
		}
		if err != nil {
			return nil, fmt.Errorf("list firewall chains: %w", err)
		}
		for _, m := range chains {
			c, err := parseChain(m)
			if err != nil {
				return nil, fmt.Errorf("list firewall chains: %w", err)
			}
			if c.hooked && c.hook == unix.NF_INET_FORWARD && c.policy == nfDrop {
				out = append(out, fmt.Sprintf("%s %s %s", name, c.table, c.name))
			}
		}
	}
	return out, nil
}

// nfDrop is NF_DROP of linux/netfilter.h.
const nfDrop = 0

func listChains(family uint8) ([][]byte, error) {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETCHAIN, unix.NLM_F_DUMP)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: family, Version: nl.NFNETLINK_V0})
	return req.Execute(unix.NETLINK_NETFILTER, 0)
}

type baseChain struct {
	table, name string
	hooked      bool
	hook        uint32
	policy      uint32
}

// parseChain reads an NFT_MSG_NEWCHAIN (linux/netfilter/nf_tables.h, enum nft_chain_attributes).
func parseChain(m []byte) (baseChain, error) {
	c := baseChain{policy: 1}
	if len(m) < nl.SizeofNfgenmsg {
		return c, errors.New("short message")
	}
	attrs, err := nl.ParseRouteAttr(m[nl.SizeofNfgenmsg:])
	if err != nil {
		return c, err
	}
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.NFTA_CHAIN_TABLE:
			c.table = text(a.Value)
		case unix.NFTA_CHAIN_NAME:
			c.name = text(a.Value)
		case unix.NFTA_CHAIN_POLICY:
			c.policy = number(a.Value, c.policy)
		case unix.NFTA_CHAIN_HOOK:
			hook, err := nl.ParseRouteAttr(a.Value)
			if err != nil {
				return c, err
			}
			for _, h := range hook {
				if h.Attr.Type == unix.NFTA_HOOK_HOOKNUM {
					c.hooked, c.hook = true, number(h.Value, 0)
				}
			}
		}
	}
	return c, nil
}

func text(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }

// number reads a 32-bit value in network order.
func number(b []byte, otherwise uint32) uint32 {
	if len(b) != 4 {
		return otherwise
	}
	return binary.BigEndian.Uint32(b)
}
