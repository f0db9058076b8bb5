// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/image"
	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// needRoot skips a test that changes the machine's network, loudly, and fails it where it has to run.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and CI=true says that it has to run")
	}
	t.Skip("LEFT OUT: this test needs root")
}

// TestSeed brings up the garden's cluster with its node, sees the resolver's pod become ready, and takes all down again.
func TestSeed(t *testing.T) {
	needRoot(t)
	g := NewWithT(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	cache, err := build.CacheDir()
	g.Expect(err).NotTo(HaveOccurred())
	bin := filepath.Join(cache, "bin")
	images, err := image.Build(image.Options{Bin: bin, Dir: filepath.Join(cache, "images"), Version: "test", Logf: t.Logf})
	g.Expect(err).NotTo(HaveOccurred())

	l, err := machine.New("gx6t", filepath.Join(cache, "run", "gx6t"), bin, t.Logf)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(l.Down(ctx)).To(Succeed())
	cfg := machine.DefaultSeed()
	cfg.Images = images.Seed()
	start := time.Now()
	seed, err := l.StartSeed(ctx, cfg)
	g.Expect(err).NotTo(HaveOccurred())
	t.Logf("started after %s", time.Since(start))
	g.Expect(seed.WaitNodesReady(ctx, 1, time.Minute)).To(Succeed())
	t.Logf("node ready after %s", time.Since(start))
	g.Expect(seed.WaitRollout(ctx, "kube-system", "deployment/coredns", time.Minute)).To(Succeed())
	t.Logf("coredns ready after %s", time.Since(start))

	if os.Getenv("KEEP") == "" {
		start = time.Now()
		g.Expect(l.Down(ctx)).To(Succeed())
		t.Logf("down after %s", time.Since(start))
	}
}
