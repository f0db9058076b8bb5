// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command landscape brings up a small Gardener landscape on this machine, creates a Shoot that asks for its ranges by
// keyword, and shows what became of it. See test/landscape/driver/README.md for what is real and what is stood in for.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/driver"
	"github.com/gardener/gardener-extension-networking-ipv6/test/scenarios"
)

// skipBuild is for those who know that nothing changed.
var skipBuild bool

// ranError is that of a program which ran with this one's terminal, and has said itself what is wrong.
type ranError struct{ error }

// Unwrap gives the cause.
func (e ranError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)

	stop()

	var (
		ran  ranError
		exit *exec.ExitError
	)

	if errors.As(err, &ran) && errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}

	if err != nil {
		fmt.Fprintf(os.Stderr, "\nlandscape: %v\n", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "landscape",
		Short:         "A Gardener landscape on this machine: real programs, no container engine, no registry",
		SilenceUsage:  true,
		SilenceErrors: true,
	}

	root.PersistentFlags().BoolVar(&skipBuild, "skip-build", false, "use the programs that were built before")

	root.AddCommand(
		&cobra.Command{
			Use:       "build [landscape|binaries|own|e2e|all]",
			Short:     "Build the programs into the cache outside of the work tree",
			Args:      cobra.MaximumNArgs(1),
			ValidArgs: []string{"landscape", "binaries", "own", "e2e", "all"},
			RunE: func(cmd *cobra.Command, args []string) error {
				what := "landscape"
				if len(args) > 0 {
					what = args[0]
				}

				return buildPrograms(cmd.Context(), what)
			},
		},
		&cobra.Command{
			Use: "up", Short: "Bring up garden and seed with extension and admission, but no Shoot", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := bringUp(cmd.Context())

				return err
			},
		},
		demoCommand(),
		&cobra.Command{
			Use: "show", Short: "Show the table of the demo again", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return showAgain(cmd.Context()) },
		},
		&cobra.Command{
			Use: "status", Short: "Show nodes and pods of both clusters", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return status(cmd.Context()) },
		},
		&cobra.Command{
			Use: "down", Short: "Remove every process, namespace, mount, cgroup and file that was made, and nothing else", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return down(cmd.Context()) },
		},
		&cobra.Command{
			Use: "kubectl seed|shoot ARGS...", Short: "Run kubectl as an administrator of one of the clusters",
			Args: cobra.MinimumNArgs(1), DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error { return kubectl(cmd.Context(), args[0], args[1:]) },
		},
		shootCommand(),
		&cobra.Command{
			Use: "e2e [GO TEST FLAGS...]", Short: "Run the Shoot's life and upstream's conformance tests of the network",
			DisableFlagParsing: true,
			RunE:               func(cmd *cobra.Command, args []string) error { return e2e(cmd.Context(), args) },
		},
		&cobra.Command{
			Use: "exec HOST PROGRAM...", Short: "Run a program on a host of the landscape: router, outside, garden, seed, n1, ...",
			Args: cobra.MinimumNArgs(2), DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error { return execOn(cmd.Context(), args[0], args[1:]) },
		},
	)

	return root
}

func demoCommand() *cobra.Command {
	var scenario string

	names := []string{driver.DemoScenario}
	for _, s := range scenarios.All() {
		names = append(names, s.Name)
	}

	cmd := &cobra.Command{
		Use: "demo", Short: "Bring everything up, create the Shoot of a scenario, and show what became of it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if scenario != "" && !slices.Contains(names, scenario) {
				return fmt.Errorf("scenario %q is not known, want one of %s", scenario, strings.Join(names, ", "))
			}

			return demo(cmd.Context(), scenario)
		},
	}

	cmd.Flags().StringVar(&scenario, "scenario", "", "one of "+strings.Join(names, ", "))

	return cmd
}

// shootCommand lets a person play the Shoot's owner.
func shootCommand() *cobra.Command {
	shoot := &cobra.Command{Use: "shoot", Short: "Play the owner of the demo's Shoot"}

	add := func(use, short string, args cobra.PositionalArgs, act func(context.Context, *driver.Driver, *driver.Cluster, []string) error) {
		shoot.AddCommand(&cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			return withShoot(cmd.Context(), func(ctx context.Context, d *driver.Driver, c *driver.Cluster) error { return act(ctx, d, c, args) })
		}})
	}

	add("scale NODES", "Bring the Shoot to so many nodes", cobra.ExactArgs(1),
		func(ctx context.Context, _ *driver.Driver, c *driver.Cluster, args []string) error {
			nodes, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("number of nodes: %w", err)
			}

			return errors.Join(c.ScaleNodes(ctx, nodes), c.WaitForNodes(ctx, nodes))
		})
	add("hibernate", "Put the Shoot to sleep", cobra.NoArgs,
		func(ctx context.Context, _ *driver.Driver, c *driver.Cluster, _ []string) error {
			return c.Hibernate(ctx)
		})
	add("wake", "Wake the Shoot up", cobra.NoArgs,
		func(ctx context.Context, _ *driver.Driver, c *driver.Cluster, _ []string) error {
			_, err := c.WakeUp(ctx, c.Scenario.Nodes)

			return err
		})
	add("delete", "Delete the Shoot; its prefixes are given back", cobra.NoArgs,
		func(ctx context.Context, d *driver.Driver, c *driver.Cluster, _ []string) error {
			return d.DeleteShoot(ctx, c)
		})

	return shoot
}

// run runs a program with this one's terminal.
func run(ctx context.Context, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...) // #nosec G204 -- what the caller asked for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)

	if err := cmd.Run(); err != nil {
		return ranError{fmt.Errorf("%s: %w", filepath.Base(program), err)}
	}

	return nil
}
