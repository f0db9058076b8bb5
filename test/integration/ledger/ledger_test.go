// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ledger_test has several processes change one ledger on a real kube-apiserver, and kills them where it hurts: after they
// have written pages and before the root names them, and after the root has been swapped and before the old pages are
// deleted. The test's binary starts itself again for that.
package ledger_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

const (
	root = "ipv6-pool-ledger"
	// changes that one process makes; the last few of what it reserves stay.
	changes, stay = 60, 10
	envProcess    = "LEDGER_TEST_PROCESS"
)

// small limits, so that a process writes pages every few changes.
var small = configmap.Limits{Changes: 500, Page: 3000}

// settings of a process.
type settings struct {
	Kubeconfig, Namespace string
	Number                int
	// At is what the process does when it kills itself for the Times-th time: "page" has been created, "root" that names other
	// pages is about to be written, or has been ("swapped"). Empty: it lives.
	At    string
	Times int
}

func TestMain(m *testing.M) {
	if text := os.Getenv(envProcess); text != "" {
		if err := process(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process reserves and releases, and says so on its output as soon as it is sure.
func process(text string) error {
	var set settings
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", set.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 1000, 2000
	c, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	s := configmap.New(c, &doomed{Client: c, settings: set}, set.Namespace, root).WithLimits(small)
	for i := range changes {
		err := s.Update(context.Background(), func(l *reservation.Ledger) error { return l.Claim(allocation(set.Number, i)) })
		if err != nil {
			return err
		}
		fmt.Println("+", i)
		if i < stay {
			continue
		}
		a := allocation(set.Number, i-stay)
		if err := s.Update(context.Background(), func(l *reservation.Ledger) error { return l.Remove(a.Prefix, a.Owner) }); err != nil {
			return err
		}
		fmt.Println("-", i-stay)
	}
	return nil
}

// doomed kills its process.
type doomed struct {
	client.Client
	settings
	pages string
	met   int
}

func (d *doomed) at(what string) {
	if what != d.At {
		return
	}
	if d.met++; d.met == d.Times {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // not one instruction further
	}
}

func (d *doomed) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	err := d.Client.Create(ctx, o, opts...)
	if o.GetName() != root {
		d.at("page")
	}
	return err
}

func (d *doomed) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	object, ok := o.(*corev1.ConfigMap)
	if !ok {
		return errors.New("an update of something else than a ConfigMap")
	}
	pages := object.Data["pages"]
	if pages == d.pages {
		return d.Client.Update(ctx, o, opts...)
	}
	d.at("root")
	err := d.Client.Update(ctx, o, opts...)
	if err == nil {
		d.pages = pages
		d.at("swapped")
	}
	return err
}

func allocation(process, i int) reservation.Allocation {
	return reservation.Allocation{
		Owner:  reservation.Owner{GardenID: "garden", ShootUID: fmt.Sprintf("a7e0c2f4-1b2c-4d3e-%04x-%012x", process, i), Range: "nodes-ipv6", Attempt: 1},
		Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(process), 7: byte(i)}), 64),
		Since:  time.Unix(1_790_000_000, 0).UTC(),
	}
}

// account is what one process said.
type account struct {
	reserved, released int
	killed             bool
}

func run(set settings) (account, error) {
	text, err := json.Marshal(set)
	if err != nil {
		return account{}, err
	}
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), envProcess+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return account{}, err
	}
	if err := cmd.Start(); err != nil {
		return account{}, err
	}
	var a account
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "+") {
			a.reserved++
		} else {
			a.released++
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		a.killed, err = true, nil
	}
	return a, err
}

func TestTwoProcessesAndDeaths(t *testing.T) {
	g := NewWithT(t)
	env := envtest.Start(t)
	env.Config.QPS, env.Config.Burst = 1000, 2000
	set := settings{Kubeconfig: env.KubeconfigFile(t), Namespace: env.Namespace(t, nil)}
	var all []settings
	for _, at := range []string{"", "page", "root", "swapped"} {
		for times := 1; times <= 6; times += 2 {
			next := set
			next.Number, next.At, next.Times = len(all), at, times
			all = append(all, next)
		}
	}
	accounts, errs := make([]account, len(all)), make([]error, len(all))
	var wg sync.WaitGroup
	for first := range 3 { // three processes at a time, of all kinds
		wg.Go(func() {
			for i := first; i < len(all); i += 3 {
				accounts[i], errs[i] = run(all[i])
			}
		})
	}
	wg.Wait()
	g.Expect(errors.Join(errs...)).NotTo(HaveOccurred())

	c, err := client.New(env.Config, client.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	s := configmap.New(c, c, set.Namespace, root).WithLimits(small)
	ledger, err := s.Read(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	for i, a := range accounts {
		g.Expect(a.killed).To(Equal(all[i].At != ""), "process %d, to be killed at %q %d", i, all[i].At, all[i].Times)
		for j := range changes {
			held := len(ledger.HeldBy(allocation(i, j).Owner)) == 1
			switch {
			case j < a.released:
				g.Expect(held).To(BeFalse(), "process %d has released %d", i, j)
			case j == a.released && a.killed || j == a.reserved && a.killed:
				// It died on the way: both is right.
			default:
				g.Expect(held).To(Equal(j < a.reserved), "process %d has reserved %d", i, j)
			}
		}
	}

	for i := range 20 { // writes pages, and so clears away what the dead have left
		g.Expect(s.Update(t.Context(), func(l *reservation.Ledger) error { return l.Claim(allocation(200, i)) })).To(Succeed())
	}
	expectNoOrphans(g, c, set.Namespace)
}

func expectNoOrphans(g Gomega, c client.Client, namespace string) {
	list := &corev1.ConfigMapList{}
	g.Expect(c.List(context.Background(), list, client.InNamespace(namespace))).To(Succeed())
	object := &corev1.ConfigMap{}
	g.Expect(c.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: root}, object)).To(Succeed())
	pages := 0
	for _, item := range list.Items {
		if id, ok := strings.CutPrefix(item.Name, root+"-"); ok {
			g.Expect(object.Data["pages"]).To(ContainSubstring(id), "an orphan")
			pages++
		}
	}
	g.Expect(pages).To(And(BeNumerically(">", 0), Equal(strings.Count(object.Data["pages"], "\n"))))
}
