// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command landscape-metadata is the metadata server of a cloud for one machine of the landscape. It knows only what the cloud gives to
// that machine, and answers where and as the cloud's own does.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gardener/gardener-extension-networking-ipv6/test/nodesource/metadatafake"
)

// list is a flag that may be given more than once.
type list []string

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "landscape-metadata:", err)
		os.Exit(1)
	}
}

func run() error {
	var listen, prefixes list
	provider := flag.String("provider", "", "aws, gcp, openstack, hetzner or azure")
	mac := flag.String("mac", "", "hardware address of the machine's network interface")
	flag.Var(&listen, "listen", "address and port to answer at; may be given more than once")
	flag.Var(&prefixes, "prefix", "prefix of the machine; may be given more than once")
	flag.Parse()

	for _, text := range prefixes {
		if _, err := netip.ParsePrefix(text); err != nil {
			return err
		}
	}
	server := metadatafake.New(*provider, *mac, prefixes...)
	var serving errgroup.Group
	for _, address := range listen {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		serving.Go(func() error { return server.Serve(listener) })
	}
	return serving.Wait()
}
