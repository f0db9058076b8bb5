// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// ipv6ctl is for a person's terminal: it shows what a Shoot would get for its ranges, and what an address belongs to, without talking
// to anybody; and to operators what a seed has reserved.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, message(err))
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ipv6ctl",
		Short: "Shows what becomes of a Shoot's ranges",
		Long: `Shows what becomes of a Shoot's ranges. plan and explain talk to nobody: all they know is in the file, or the flags, that they are
given. reservations talks to the API server of a seed.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(newPlanCommand(), newExplainCommand(), newReservationsCommand())
	return cmd
}

// message is what a person reads of an error: those of the input explain themselves.
func message(err error) string {
	var in inputError
	if errors.As(err, &in) {
		return in.Error()
	}
	return "ipv6ctl: " + err.Error()
}
