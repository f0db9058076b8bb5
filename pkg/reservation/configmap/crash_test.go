// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/configmap"
)

var errDead = errors.New("the process is dead")

// mortal is a client that dies at its n-th write: before the server sees it, or after. Nothing works from then on.
func mortal(c client.WithWatch, n int, after bool) client.WithWatch {
	write := func(do func() error) error {
		n--
		switch {
		case n < 0, n == 0 && !after:
			return errDead
		case n == 0:
			_ = do()
			return errDead
		}
		return do()
	}
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if n <= 0 {
				return errDead
			}
			return c.Get(ctx, key, o, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return write(func() error { return c.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return write(func() error { return c.Update(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return write(func() error { return c.Delete(ctx, o, opts...) })
		},
	})
}

// A process that dies at any write leaves a ledger with or without its last change, and nothing that is not cleared away later.
func TestDeaths(t *testing.T) {
	for n := 1; ; n++ {
		for _, after := range []bool{false, true} {
			g := NewWithT(t)
			c := server()
			s := newStore(mortal(c, n, after))
			var sure, last []reservation.Allocation
			died := false
			for i := 0; i < 40 && !died; i++ {
				last = append(slices.Clone(sure), allocation(i, i))
				change := func() error { return claim(s, allocation(i, i)) }
				if i%3 == 2 {
					last = slices.Clone(sure[1:])
					change = func() error { return release(s, sure[0]) }
				}
				if died = change() != nil; !died {
					sure = last
				}
			}
			survivor := newStore(c)
			g.Expect(read(g, survivor)).To(Or(Equal(sure), Equal(last)), "death at write %d, after it: %v", n, after)
			if !died && n > 60 {
				return
			}
			for i := range 40 {
				g.Expect(claim(survivor, allocation(100+i, i))).To(Succeed())
			}
			expectTidy(g, c)
		}
	}
}

// A writer that sleeps between its pages and its root finds that others have gone on, whatever they have cleared away.
func TestSleepsBeforeTheSwap(t *testing.T) {
	g := NewWithT(t)
	plain := server()
	slept := false
	c := interceptor.NewClient(plain, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if o.(*corev1.ConfigMap).Data["pages"] != "" && !slept {
				slept = true
				other := newStore(plain)
				for i := range 20 {
					if err := claim(other, allocation(100+i, i)); err != nil {
						return err
					}
				}
			}
			return c.Update(ctx, o, opts...)
		},
	})
	s := newStore(c)
	for i := range 20 {
		g.Expect(claim(s, allocation(i, i))).To(Succeed())
	}
	g.Expect(slept).To(BeTrue())
	g.Expect(read(g, newStore(plain))).To(HaveLen(40))
	expectTidy(g, plain)
}

// churn changes so much that all pages are made anew, and entries that are of no use any more are cleared away.
func churn(g Gomega, s *configmap.Store) {
	for round := range 10 {
		for i := range 20 {
			g.ExpectWithOffset(1, claim(s, allocation(100+i, round))).To(Succeed())
		}
		for i := range 20 {
			g.ExpectWithOffset(1, release(s, allocation(100+i, round))).To(Succeed())
		}
	}
}

// Who has not looked for long finds nothing that was released meanwhile, although no page says any more that it was.
func TestLooksAgainMuchLater(t *testing.T) {
	g := NewWithT(t)
	c := server()
	s, other := newStore(c), newStore(c)
	for i := range 20 {
		g.Expect(claim(other, allocation(i, i))).To(Succeed())
	}
	g.Expect(read(g, s)).To(HaveLen(20))
	for i := range 10 {
		g.Expect(release(other, allocation(i, i))).To(Succeed())
	}
	churn(g, other)
	g.Expect(rootOf(g, c).Data["pages"]).NotTo(BeEmpty())
	g.Expect(read(g, s)).To(HaveLen(10))
}

// A database is restored from a backup beneath a process that knows what was written since then; and others write on.
func TestRestoredBackup(t *testing.T) {
	for _, later := range []int{0, 30} {
		g := NewWithT(t)
		c := server()
		s, other := newStore(c), newStore(c)
		for i := range 30 {
			g.Expect(claim(s, allocation(i, i))).To(Succeed())
		}
		backup := &corev1.ConfigMapList{}
		g.Expect(c.List(t.Context(), backup, client.InNamespace(namespace))).To(Succeed())
		want := read(g, s)

		for i := range 10 {
			g.Expect(release(s, allocation(i, i))).To(Succeed())
			g.Expect(claim(s, allocation(50+i, i))).To(Succeed())
		}
		read(g, s)
		restore(g, c, backup)
		for i := range later {
			a := allocation(80+i, i)
			g.Expect(claim(other, a)).To(Succeed())
			want = append(want, a)
		}
		g.Expect(read(g, s)).To(Equal(want))
		g.Expect(claim(s, allocation(200, 1))).To(Succeed())
		g.Expect(read(g, newStore(c))).To(Equal(append(want, allocation(200, 1))))
	}
}

func restore(g Gomega, c client.Client, backup *corev1.ConfigMapList) {
	list := &corev1.ConfigMapList{}
	g.Expect(c.List(context.Background(), list, client.InNamespace(namespace))).To(Succeed())
	for i := range list.Items {
		g.Expect(c.Delete(context.Background(), &list.Items[i])).To(Succeed())
	}
	for i := range backup.Items {
		o := &backup.Items[i]
		o.ResourceVersion, o.UID = "", ""
		g.Expect(c.Create(context.Background(), o)).To(Succeed())
	}
}

// A reader whose pages are cleared away while it reads them finds the newer ones.
func TestReadsWhileOthersClearAway(t *testing.T) {
	g := NewWithT(t)
	plain := server()
	other := newStore(plain)
	for i := range 20 {
		g.Expect(claim(other, allocation(i, i))).To(Succeed())
	}
	var (
		mu    sync.Mutex
		times int
	)
	s := newStore(interceptor.NewClient(plain, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if key.Name != root {
				mu.Lock()
				if times++; times < 3 {
					churn(g, other)
				}
				mu.Unlock()
			}
			return c.Get(ctx, key, o, opts...)
		},
	}))
	g.Expect(read(g, s)).To(HaveLen(20))
}

func TestKindsOfErrors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want reservation.Kind
	}{
		{errors.New("EOF"), reservation.Ambiguous},
		{context.DeadlineExceeded, reservation.Ambiguous},
		{apierrors.NewInternalError(errors.New("etcd")), reservation.Ambiguous},
		{apierrors.NewTimeoutError("etcd", 1), reservation.Ambiguous},
		{apierrors.NewForbidden(resource, root, errors.New("no role")), reservation.Retry},
		{apierrors.NewTooManyRequests("later", 1), reservation.Retry},
	} {
		g := NewWithT(t)
		s := newStore(interceptor.NewClient(server(), interceptor.Funcs{
			Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return tc.err },
		}))
		err := claim(s, allocation(1, 1))
		g.Expect(err).To(MatchError(ContainSubstring("writing the ledger extension/ipv6-pool-ledger: ")))
		g.Expect(reservation.KindOf(err)).To(Equal(tc.want), "%v", tc.err)
	}
}

// Whoever else changes the ledger all the time is not waited for without end.
func TestGivesUp(t *testing.T) {
	g := NewWithT(t)
	plain := server()
	tries := 0
	s := newStore(interceptor.NewClient(plain, interceptor.Funcs{
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
			tries++
			return apierrors.NewConflict(resource, root, errors.New("somebody was faster"))
		},
	}))
	g.Expect(claim(newStore(plain), allocation(1, 1))).To(Succeed())
	err := claim(s, allocation(2, 2))
	g.Expect(reservation.KindOf(err)).To(Equal(reservation.Retry))
	g.Expect(err).To(MatchError(ContainSubstring("is changed by others all the time")))
	g.Expect(tries).To(BeNumerically(">", 10))
}

func TestMayNotList(t *testing.T) {
	g := NewWithT(t)
	plain := server()
	c := interceptor.NewClient(plain, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return errors.New("forbidden")
		},
	})
	s := newStore(c)
	for i := range 100 {
		g.Expect(claim(s, allocation(i, i))).To(Succeed())
	}
	g.Expect(read(g, s)).To(HaveLen(100))
	expectTidy(g, plain)
}
