// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	vnl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

func applyRules(action string, todo []dataplane.Rule, failed *dataplane.ApplyError) (done []dataplane.Rule) {
	for _, r := range todo {
		do := vnl.RuleAdd
		if action == "delete" {
			do = vnl.RuleDel
		}
		if err := do(toRule(r)); err != nil {
			failed.Rules = append(failed.Rules, &dataplane.RuleError{Action: action, Rule: r, Err: err})
			continue
		}
		done = append(done, r)
	}
	return done
}

func toRule(r dataplane.Rule) *vnl.Rule {
	out := vnl.NewRule()
	out.Family, out.Priority, out.Dst, out.IifName, out.Protocol = family(r.To.Addr()), r.Priority, ipNet(r.To), r.Input, dataplane.ProtocolNode
	if r.Type == dataplane.Unreachable {
		out.Type = unix.RTN_UNREACHABLE
		return out
	}
	out.Type, out.Table = unix.RTN_UNICAST, unix.RT_TABLE_MAIN // 1 is FR_ACT_TO_TBL, too
	return out
}

// listRules returns those that bear our mark. The library's own listing leaves the action out.
func listRules() ([]dataplane.Rule, error) {
	var out []dataplane.Rule
	for _, f := range []int{unix.AF_INET6, unix.AF_INET} {
		found, err := dump(func() ([][]byte, error) {
			req := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
			req.AddData(nl.NewIfInfomsg(f))
			return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWRULE)
		})
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue // a kernel without the family
		}
		if err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		for _, m := range found {
			r, ours, err := parseRule(m)
			if err != nil {
				return nil, fmt.Errorf("list rules: %w", err)
			}
			if ours {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// parseRule reads a struct fib_rule_hdr and its attributes (linux/fib_rules.h), which are laid out as a route's.
func parseRule(m []byte) (r dataplane.Rule, ours bool, err error) {
	if len(m) < unix.SizeofRtMsg {
		return r, false, fmt.Errorf("a message of %d bytes", len(m))
	}
	head := nl.DeserializeRtMsg(m)
	attrs, err := nl.ParseRouteAttr(m[head.Len():])
	if err != nil {
		return r, false, err
	}
	if head.Type == unix.RTN_UNREACHABLE {
		r.Type = dataplane.Unreachable
	}
	dst := net.IP(make([]byte, 4))
	if head.Family == unix.AF_INET6 {
		dst = net.IPv6unspecified
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case nl.FRA_DST:
			dst = a.Value
		case nl.FRA_IIFNAME:
			r.Input = strings.TrimRight(string(a.Value), "\x00")
		case nl.FRA_PRIORITY:
			if len(a.Value) == 4 {
				r.Priority = int(binary.NativeEndian.Uint32(a.Value))
			}
		case nl.FRA_PROTOCOL:
			ours = len(a.Value) == 1 && a.Value[0] == dataplane.ProtocolNode
		}
	}
	r.To = netip.PrefixFrom(addr(dst), int(head.Dst_len))
	return r, ours, nil
}
