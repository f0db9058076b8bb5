// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package probe sends something every few milliseconds from a host of the landscape, and counts what is not answered.
package probe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/machine"
)

// patience is how long an answer may take.
const patience = 2 * time.Second

// Probe is under way.
type Probe struct {
	// Way says from where to where, for people.
	Way string

	every time.Duration
	stop  chan struct{}
	once  sync.Once
	done  sync.WaitGroup

	mu       sync.Mutex
	sent     []time.Time
	answered map[int]string
}

// Result is what became of a probe.
type Result struct {
	// Sent requests.
	Sent int
	// Lost are those without an answer.
	Lost int
	// Gap is the longest time between two answered requests with a lost one between them.
	Gap time.Duration
	// Answers counts what was answered, by who answered.
	Answers map[string]int
}

// sender sends request number n. It may call answered at once, or later from another goroutine.
type sender func(n int) error

func start(way string, every time.Duration) *Probe {
	return &Probe{Way: way, every: every, stop: make(chan struct{}), answered: map[int]string{}}
}

// run sends until Stop. What the network refuses to send (no route, unreachable) is lost, not an error.
func (p *Probe) run(send sender, ended func()) *Probe {
	p.done.Add(1)

	go func() {
		defer p.done.Done()
		defer ended()

		tick := time.NewTicker(p.every)
		defer tick.Stop()

		for {
			select {
			case <-p.stop:
				p.drain()

				return
			case <-tick.C:
				_ = send(p.next())
			}
		}
	}()

	return p
}

func (p *Probe) next() int {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.sent = append(p.sent, time.Now())

	return len(p.sent) - 1
}

func (p *Probe) answer(n int, who string) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if n >= 0 && n < len(p.sent) {
		p.answered[n] = who
	}
}

// drain waits for the answers to what was sent last.
func (p *Probe) drain() {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		missing := len(p.sent) - len(p.answered)
		last := len(p.sent) == 0 || p.answered[len(p.sent)-1] != ""
		p.mu.Unlock()

		if missing == 0 || last && time.Until(end) < patience-200*time.Millisecond {
			return
		}
	}
}

// Wait returns when so many more requests have been answered.
func (p *Probe) Wait(ctx context.Context, more int) error {
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()

		return len(p.answered)
	}

	begin := count()

	tick := time.NewTicker(p.every)
	defer tick.Stop()

	limit := time.NewTimer(time.Minute)
	defer limit.Stop()

	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", p.Way, ctx.Err())
		case <-limit.C:
			return fmt.Errorf("%s: %d of %d requests were answered within a minute", p.Way, count()-begin, more)
		case <-tick.C:
			if count() >= begin+more {
				return nil
			}
		}
	}
}

// Stop ends the probe and tells what became of it. It may be called more than once.
func (p *Probe) Stop() Result {
	p.once.Do(func() { close(p.stop) })
	p.done.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()

	result := Result{Sent: len(p.sent), Lost: len(p.sent) - len(p.answered), Answers: map[string]int{}}
	last := -1

	for n := range p.sent {
		who, ok := p.answered[n]
		if !ok {
			continue
		}

		result.Answers[who]++

		if last >= 0 && n > last+1 {
			result.Gap = max(result.Gap, p.sent[n].Sub(p.sent[last]))
		}

		last = n
	}

	return result
}

// String is a line for a person.
func (r Result) String() string {
	if r.Lost == 0 {
		return fmt.Sprintf("0 of %d lost", r.Sent)
	}

	return fmt.Sprintf("%d of %d lost, for at most %.1f s", r.Lost, r.Sent, r.Gap.Seconds())
}

// All are probes that run beside one another.
type All []*Probe

// During runs act while the probes run: at least so many requests are answered before it, and after it.
func During(ctx context.Context, around int, probes All, act func(context.Context) error) ([]Result, error) {
	results := make([]Result, len(probes))

	err := probes.Wait(ctx, around)
	if err == nil {
		if err = act(ctx); err == nil {
			err = probes.Wait(ctx, around)
		}
	}

	for i, p := range probes {
		results[i] = p.Stop()
	}

	return results, err
}

// Wait returns when each of them has had so many more answers.
func (a All) Wait(ctx context.Context, more int) error {
	for _, p := range a {
		if err := p.Wait(ctx, more); err != nil {
			return err
		}
	}

	return nil
}

// on is the host that a probe starts from.
type on = *machine.Host
