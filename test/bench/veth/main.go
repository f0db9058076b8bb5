// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command veth is a CNI plugin that makes a veth pair and switches it on, and removes it: no address, no route, no record of anything.
// What it takes is what the kernel takes to connect a pod, so no plugin that gives a pod an interface of its own can be much faster.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

func main() {
	runtime.LockOSThread()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	id := os.Getenv("CNI_CONTAINERID") // of this benchmark, short enough for an interface's name
	switch os.Getenv("CNI_COMMAND") {
	case "ADD":
		return add(id)
	case "DEL":
		link, err := netlink.LinkByName(id)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	}
	return nil
}

func add(id string) error {
	pod, err := netns.GetFromPath(os.Getenv("CNI_NETNS"))
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = id
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(pod)}
	if err := errors.Join(netlink.LinkAdd(pair), netlink.LinkSetUp(pair), netns.Set(pod)); err != nil {
		return err
	}
	end, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	_, err = io.WriteString(os.Stdout, `{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],"ips":[{"address":"2001:db8::1/128","interface":0}]}`)
	return errors.Join(netlink.LinkSetUp(end), err)
}
