// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/planview"
)

func newExplainCommand() *cobra.Command {
	var (
		in     input
		config string
	)
	cmd := &cobra.Command{
		Use:   "explain ADDRESS",
		Short: "Say which range, node prefix and pool an address belongs to",
		Long: `Say which range, node prefix and pool an address belongs to. The ranges have to be known: they are CIDRs, v4private, or in the
status of the Shoot, as kubectl get prints it.`,
		Example: `  kubectl get shoot my-shoot -o yaml | ipv6ctl explain 2001:db8:1:2:0:7:d000:3 -f -`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := netip.ParseAddr(args[0])
			if err != nil {
				return inputError{fmt.Errorf("%q is no IP address", args[0])}
			}
			ranges, facts, _, err := in.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			p, err := plan.Build(ranges, facts)
			if err != nil {
				return inputError{err}
			}
			pools, err := operatorsPools(config)
			if err != nil {
				return inputError{err}
			}
			return planview.Explain(cmd.OutOrStdout(), p, facts.Reserved, pools, addr.Unmap().WithZone(""))
		},
	}
	in.addFlags(cmd)
	cmd.Flags().StringVar(&config, "config", "", "file with the extension's component configuration, to name the operator's pool, too")
	return cmd
}

// operatorsPools reads the pools of a component configuration; none without a file.
func operatorsPools(file string) ([]planview.Pool, error) {
	if file == "" {
		return nil, nil
	}
	config, err := helper.Load(file)
	if err != nil {
		return nil, err
	}
	var pools []planview.Pool
	for _, p := range config.Pools {
		pool := planview.Pool{Name: p.Name}
		for _, text := range p.Prefixes {
			cidr, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("pool %s: %w", p.Name, err)
			}
			pool.Prefixes = append(pool.Prefixes, cidr)
		}
		pools = append(pools, pool)
	}
	return pools, nil
}
