// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/planview"
)

func newExplainCommand() *cobra.Command {
	var in input
	cmd := &cobra.Command{
		Use:   "explain ADDRESS",
		Short: "Say which range, node prefix and pool an address belongs to",
		Long: `Say which range, node prefix and pool an address belongs to. The ranges have to be known: they are CIDRs, v4private, or in the
status of the Shoot, as kubectl get prints it. With the extension's configuration it also says which IPAM backend serves the range.`,
		Example: `  kubectl get shoot my-shoot -o yaml | ipv6ctl explain 2001:db8:1:2:0:7:d000:3 -f -`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := netip.ParseAddr(args[0])
			if err != nil {
				return inputError{fmt.Errorf("%q is no IP address", args[0])}
			}
			asked, err := in.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			p, err := plan.Build(asked.ranges, asked.facts)
			if err != nil {
				return inputError{err}
			}
			return planview.Explain(cmd.OutOrStdout(), p, asked.facts.Reserved, asked.chooser, addr.Unmap().WithZone(""))
		},
	}
	in.addFlags(cmd)
	return cmd
}
