// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// BenchmarkAllocateRelease gives one pod its address and takes it back, beside a hundred pods. Compare it with BenchmarkKernel, which
// is the system calls of the same two durable changes and nothing else: what is above it is ours.
func BenchmarkAllocateRelease(b *testing.B) {
	store, err := New(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only the lock ends
	a, err := podip.Open(b.Context(), store, func(podip.Record) bool { return true })
	if err == nil {
		err = a.SetRanges([]netip.Prefix{netip.MustParsePrefix("2001:db8::d000:0/100")}, nil)
	}
	if err != nil {
		b.Fatal(err)
	}
	claim := func(id string) podip.Claim {
		return podip.Claim{Key: podip.Key{ContainerID: id, Interface: "eth0"}, Network: "ipv6", Pod: "default/" + id, MTU: 1500}
	}
	for i := range 100 {
		if _, err := a.Allocate(b.Context(), claim(fmt.Sprint("neighbour-", i))); err != nil {
			b.Fatal(err)
		}
	}
	c := claim("pod")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Allocate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		if err := a.Release(b.Context(), c.Key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkKernel is the limit of BenchmarkAllocateRelease: a file written, synced, renamed, the directory synced; removed, and synced.
func BenchmarkKernel(b *testing.B) {
	dir := b.TempDir()
	path, record := filepath.Join(dir, "pod"), make([]byte, 160)
	sync := func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		_, err = f.Write(record)
		if err := errors.Join(err, f.Sync(), f.Close(), os.Rename(path+".tmp", path), sync(), os.Remove(path), sync()); err != nil {
			b.Fatal(err)
		}
	}
}
