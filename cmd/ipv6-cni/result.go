// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
)

// result says it in the words of the CNI specification: the host's end, the pod's end, an address and a default route a family.
func result(r *cnirpc.Result, args *skel.CmdArgs) *types100.Result {
	inPod := 1 // the second of the interfaces
	out := &types100.Result{
		CNIVersion: types100.ImplementedSpecVersion,
		Interfaces: []*types100.Interface{
			{Name: r.HostInterface, Mac: r.HostMAC, Mtu: r.MTU},
			{Name: args.IfName, Mac: r.PodMAC, Mtu: r.MTU, Sandbox: args.Netns},
		},
	}
	for i, a := range r.Addrs {
		gateway := net.IP(r.Gateways[i].AsSlice())
		out.IPs = append(out.IPs, &types100.IPConfig{
			Interface: &inPod,
			Address:   net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())},
			Gateway:   gateway,
		})
		everything := net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
		if a.Is4() {
			everything = net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
		}
		out.Routes = append(out.Routes, &types.Route{Dst: everything, GW: gateway})
	}
	return out
}
