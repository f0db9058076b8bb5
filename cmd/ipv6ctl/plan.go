// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/planview"
)

func newPlanCommand() *cobra.Command {
	var (
		in     input
		output string
	)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a Shoot would get for its ranges",
		Example: `  ipv6ctl plan -f shoot.yaml
  ipv6ctl plan --nodes v6global/64+prefix/96 --pods v6fromNode --services v6global/64
  ipv6ctl plan -f shoot.yaml --config controllerconfig.yaml
  ipv6ctl plan -f shoot.yaml -o svg > plan.svg`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asked, err := in.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			p, err := asked.plan()
			if err != nil {
				return inputError{err}
			}
			view, err := planview.Of(p, asked.facts.Reserved)
			if err != nil {
				return inputError{err}
			}
			if asked.chooser != nil {
				asked.chooser.Choose(&view, p)
			}
			if asked.network != nil {
				view.Travel(asked.network, p, asked.providerType)
			}
			return write(cmd.OutOrStdout(), output, asked.name, view)
		},
	}
	in.addFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json, yaml or svg")
	return cmd
}

func write(w io.Writer, output, name string, view planview.View) error {
	switch output {
	case "text":
		return planview.Text(w, view)
	case "svg":
		return planview.SVG(w, name, view)
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(view)
	case "yaml":
		data, err := yaml.Marshal(view)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	return fmt.Errorf("--output: %q is none of text, json, yaml, svg", output)
}
