// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package fastpath takes packets of pods past the node's stack by programs in the kernel (tc BPF, attached by TCX). bpf/fastpath.c says
// which packets: those over IPv6 of established connections that nothing translates.
//
// Nothing is pinned: the programs are attached as long as the process lives, so that its end, however it comes, leaves the node with its
// ordinary way and with nothing to clean up.
package fastpath

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// FastPath is a dataplane.FastPath. It works in the network namespace of the thread that calls it.
type FastPath struct {
	fromPod, fromUplink *ebpf.Program
	podsMap, uplinkMap  *ebpf.Map

	mu     sync.Mutex
	uplink attached
	// pods are keyed by the host's end of their wire.
	pods map[string]pod
}

// attached is a program at an interface.
type attached struct {
	index int
	link  link.Link
}

func (a attached) close() error {
	if a.link == nil {
		return nil
	}
	return a.link.Close()
}

type pod struct {
	attached
	addr netip.Addr
}

// value is a struct pod of the programs.
type value struct {
	Index        uint32
	MAC, Gateway dataplane.MAC
}

// New loads the programs into the kernel. The error says what this kernel lacks.
func New() (*FastPath, error) {
	if len(object) == 0 {
		return nil, errors.New("fast path: not built for this architecture")
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("fast path: %w", err)
	}
	c, err := ebpf.NewCollection(spec)
	btf.FlushKernelSpec() // a few MiB that nobody needs again
	if err != nil {
		return nil, fmt.Errorf("fast path: this kernel does not take the programs, which needs Linux 6.6 with BTF and connection tracking: %w", err)
	}
	return &FastPath{
		fromPod: c.Programs["from_pod"], fromUplink: c.Programs["from_uplink"], podsMap: c.Maps["pods"], uplinkMap: c.Maps["uplink"],
		pods: map[string]pod{},
	}, nil
}

// Close detaches everything.
func (f *FastPath) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	errs := []error{f.uplink.close()}
	for _, p := range f.pods {
		errs = append(errs, p.close())
	}
	f.uplink, f.pods = attached{}, map[string]pod{}
	return errors.Join(append(errs, f.fromPod.Close(), f.fromUplink.Close(), f.podsMap.Close(), f.uplinkMap.Close())...)
}

// lenient are the sysctls of connection tracking that do without the packets which the fast path took. Without them, it takes a connection
// that returns to the ordinary way for one whose packets are out of their window, and firewalls drop such.
var lenient = []string{
	"/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal",
	"/proc/sys/net/netfilter/nf_conntrack_tcp_ignore_invalid_rst",
}

// Uplink implements dataplane.FastPath.
func (f *FastPath) Uplink(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	index, err := indexOf(name)
	if err != nil {
		return fmt.Errorf("fast path: uplink: %w", err)
	}
	for _, s := range lenient {
		if err := os.WriteFile(s, []byte("1"), 0); err != nil { //nolint:gosec // a constant
			return fmt.Errorf("fast path: %w", err)
		}
	}
	if index == f.uplink.index {
		return nil
	}
	l, err := attach(index, f.fromUplink)
	if err != nil {
		return fmt.Errorf("fast path: uplink %s: %w", name, err)
	}
	if err := f.uplinkMap.Put(uint32(0), uint32(index)); err != nil { //nolint:gosec // indices are positive
		return errors.Join(fmt.Errorf("fast path: uplink %s: %w", name, err), l.Close())
	}
	old := f.uplink
	f.uplink = attached{index: index, link: l}
	return old.close()
}

// Add implements dataplane.FastPath.
func (f *FastPath) Add(w dataplane.Wire) error {
	addr, ok := addr6(w)
	if !ok {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	index, err := indexOf(w.HostInterface)
	if err != nil {
		return fmt.Errorf("fast path: %w", err)
	}
	if is, ok := f.pods[w.HostInterface]; ok {
		if is.index == index && is.addr == addr {
			return nil
		}
		if err := f.remove(w.HostInterface); err != nil {
			return err
		}
	}
	l, err := attach(index, f.fromPod)
	if err != nil {
		return fmt.Errorf("fast path: %s: %w", w.HostInterface, err)
	}
	host, inside := w.Ends()
	v := value{Index: uint32(index), MAC: inside.MAC, Gateway: host.MAC} //nolint:gosec // indices are positive
	if err := f.podsMap.Put(addr.As16(), v); err != nil {
		return errors.Join(fmt.Errorf("fast path: %s: %w", w.HostInterface, err), l.Close())
	}
	f.pods[w.HostInterface] = pod{attached: attached{index: index, link: l}, addr: addr}
	return nil
}

// Remove implements dataplane.FastPath.
func (f *FastPath) Remove(hostInterface string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.remove(hostInterface)
}

// remove forgets the pod only when no program finds it any more.
func (f *FastPath) remove(hostInterface string) error {
	p, ok := f.pods[hostInterface]
	if !ok {
		return nil
	}
	if err := f.podsMap.Delete(p.addr.As16()); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("fast path: %s: %w", hostInterface, err)
	}
	delete(f.pods, hostInterface)
	if err := p.close(); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("fast path: %s: %w", hostInterface, err)
	}
	return nil
}

func addr6(w dataplane.Wire) (netip.Addr, bool) {
	for _, a := range w.Addrs {
		if a.Is6() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func attach(index int, p *ebpf.Program) (link.Link, error) {
	return link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress})
}

// indexOf asks for one interface, where package net lists all.
func indexOf(name string) (int, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(s) //nolint:errcheck // nothing was written
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(s, unix.SIOCGIFINDEX, r)
	}
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return int(r.Uint32()), nil
}
