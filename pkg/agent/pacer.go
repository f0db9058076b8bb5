// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync"
	"time"
)

// pause is the time between two notices of what is not urgent, so that a rollout of many pods, or of many nodes, does not keep every node
// of the cluster busy. The first one after a quiet time is immediate.
const pause = 100 * time.Millisecond

// pacer gives notice that something has changed; what, the receiver finds out by itself.
type pacer struct {
	changed chan struct{}

	mu sync.Mutex
	// noticed is when the last notice was given; due is true while one waits for its time.
	noticed time.Time
	due     bool
}

func newPacer() *pacer { return &pacer{changed: make(chan struct{}, 1)} }

// soon gives notice after a pause, if there was a notice just before.
func (p *pacer) soon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due {
		return
	}
	p.due = true
	time.AfterFunc(time.Until(p.noticed.Add(pause)), func() {
		p.mu.Lock()
		p.due, p.noticed = false, time.Now()
		p.mu.Unlock()
		p.now()
	})
}

// now gives notice at once.
func (p *pacer) now() {
	select {
	case p.changed <- struct{}{}:
	default: // a notice is waiting already
	}
}
