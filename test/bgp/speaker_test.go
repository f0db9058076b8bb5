// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
)

func obey(speaker bgp.Speaker, o order, a *answer) (err error) {
	ctx := context.Background()
	switch {
	case o.Apply != nil:
		err = speaker.Apply(ctx, *o.Apply)
	case o.Withdraw:
		err = speaker.Withdraw(ctx)
	case o.Leave:
		speaker.Leave()
		return nil
	}
	select {
	case <-speaker.Changed():
		a.Changed = true
	default:
	}
	status, statusErr := speaker.Status(ctx)
	a.Status = status
	return errors.Join(err, statusErr)
}

// process is a speaker in a namespace.
type process struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	// ended is done when the process has been waited for.
	ended sync.Once
}

func start(t testing.TB, s *space, mode string) *process {
	t.Helper()
	p := &process{t: t}
	err := s.within(func() error {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		p.cmd = exec.Command(exe) //nolint:gosec // this very binary
		p.cmd.Env = append(os.Environ(), speakerEnv+"="+mode)
		p.cmd.Stderr = testWriter{t, s.name}
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			return err
		}
		out, err := p.cmd.StdoutPipe()
		if err != nil {
			return err
		}
		p.out = bufio.NewReader(out)
		return p.cmd.Start()
	})
	if err != nil {
		t.Fatalf("starting the speaker in %s: %v", s.name, err)
	}
	t.Cleanup(p.kill)
	return p
}

// kill ends the process without a word to anybody.
func (p *process) kill() {
	p.ended.Do(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
}

func (p *process) order(o order) (answer, error) {
	var a answer
	line, err := json.Marshal(o)
	if err != nil {
		return a, err
	}
	if _, err := fmt.Fprintf(p.in, "%s\n", line); err != nil {
		return a, err
	}
	reply, err := p.out.ReadBytes('\n')
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(reply, &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (p *process) apply(d bgp.Desired) {
	p.t.Helper()
	_, err := p.order(order{Apply: &d})
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred())
}

// try to apply what may be refused.
func (p *process) try(d bgp.Desired) error {
	_, err := p.order(order{Apply: &d})
	return err
}

func (p *process) status() bgp.Status {
	p.t.Helper()
	a, err := p.order(order{})
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred())
	return a.Status
}

// testWriter logs a process's lines in the test's log.
type testWriter struct {
	t    testing.TB
	name string
}

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s: %s", w.name, b)
	return len(b), nil
}
