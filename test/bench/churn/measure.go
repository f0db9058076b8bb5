// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// column of the table: one mode with one size.
type column struct {
	mode agentconfig.RoutingMode
	size int
	// start is from the start of the process until the kernel has all.
	start time.Duration
	// began, beaten and changed are what the agent had asked after each part.
	began, rested, beaten, changed asked
	beats                          int
	waits                          []time.Duration
}

func measure(ctx context.Context, set settings, c *cluster, env *envtest.Environment, mode agentconfig.RoutingMode) (col column, err error) {
	col = column{mode: mode, size: c.size}
	begin := time.Now()
	p, err := startAgent(env, mode, set.kernel)
	if err != nil {
		return col, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.await(ctx, c.others(col.has)); err != nil {
		return col, err
	}
	col.start = time.Since(begin)
	steps := []struct {
		into *asked
		do   func() error
	}{
		{&col.began, func() error { return nil }},
		{&col.rested, func() error { return pause(ctx, set.seconds) }},
		{&col.beaten, func() error { return c.beat(ctx, set.beats, set.seconds) }},
		{&col.changed, func() error { return col.change(ctx, set, c, p) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return col, err
		}
		if *s.into, err = p.asked(); err != nil {
			return col, err
		}
	}
	col.beats = int(set.seconds.Seconds()) * set.beats
	return col, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// has is what the agent has of the node with that number: a route to its prefix, or a peer.
func (col *column) has(i int) string {
	if col.mode == agentconfig.BGP {
		return addressOf(i)
	}
	return prefixOf(i)
}

// change Nodes, and wait until the agent has all of them.
func (col *column) change(ctx context.Context, set settings, c *cluster, p *process) error {
	began, err := c.replace(ctx, set.rate, set.seconds, col.has)
	if err != nil {
		return err
	}
	if err := p.await(ctx, slices.Collect(maps.Keys(began))); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for what, at := range began {
		col.waits = append(col.waits, p.has[what].Sub(at))
	}
	slices.Sort(col.waits)
	return nil
}

// process is an agent as seen from outside.
type process struct {
	cmd     *exec.Cmd
	dir     string
	in      io.WriteCloser
	listens net.Listener
	answers chan asked
	read    chan error

	mu  sync.Mutex
	has map[string]time.Time
}

func startAgent(env *envtest.Environment, mode agentconfig.RoutingMode, kernel bool) (*process, error) {
	dir, err := os.MkdirTemp("", "churn-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, answers: make(chan asked, 1), read: make(chan error, 1), has: map[string]time.Time{}}
	if err := p.start(env, agentSettings{Dir: dir, Mode: mode, Kernel: kernel}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func (p *process) start(env *envtest.Environment, set agentSettings) error {
	for _, name := range []string{"net.d", "bin"} {
		if err := os.Mkdir(filepath.Join(p.dir, name), 0o750); err != nil {
			return err
		}
	}
	for _, name := range agentconfig.Plugins() {
		if err := os.WriteFile(filepath.Join(p.dir, "bin", name), nil, 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(p.dir, "kubeconfig"), env.Kubeconfig, 0o600); err != nil {
		return err
	}
	var err error
	if p.listens, err = forward(filepath.Join(p.dir, "api"), env.Config.Host); err != nil {
		return err
	}
	text, err := json.Marshal(set)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(self)
	p.cmd.Env = append(os.Environ(), agentEnv+"="+string(text))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if set.Kernel {
		p.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go p.listen(out)
	return nil
}

// forward connections to the socket to the API server, whatever namespace they come from.
func forward(socket, server string) (net.Listener, error) {
	at, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	if at.Host == "" {
		at.Host = server
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", at.Host)
			if err != nil {
				_ = from.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
				go func() {
					_, _ = io.Copy(way[0], way[1]) // the other end has gone
					_ = way[0].Close()
				}()
			}
		}
	}()
	return l, nil
}

// listen to what the agent says until it ends.
func (p *process) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "has":
			var what string
			var at int64
			if _, err := fmt.Sscan(rest, &what, &at); err == nil {
				p.mu.Lock()
				p.has[what] = time.Unix(0, at)
				p.mu.Unlock()
			}
		case "asked":
			var a asked
			if err := json.Unmarshal([]byte(rest), &a); err == nil {
				p.answers <- a
			}
		}
	}
	p.read <- errors.Join(errors.New("the agent has ended"), lines.Err())
}

// await that the agent has had all of these.
func (p *process) await(ctx context.Context, all []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		p.mu.Lock()
		all = slices.DeleteFunc(all, func(what string) bool { return !p.has[what].IsZero() })
		p.mu.Unlock()
		if len(all) == 0 {
			return nil
		}
		select {
		case err := <-p.read:
			return err
		case <-ctx.Done():
			return fmt.Errorf("the agent has not acted on %d of the nodes, one of them is %s: %w", len(all), all[0], ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

func (p *process) asked() (asked, error) {
	if _, err := io.WriteString(p.in, "?\n"); err != nil {
		return asked{}, err
	}
	select {
	case a := <-p.answers:
		return a, nil
	case err := <-p.read:
		return asked{}, err
	}
}

func (p *process) stop() error {
	_ = p.cmd.Process.Kill() // nothing of it is needed any more
	<-p.read
	_ = p.cmd.Wait()
	return errors.Join(p.listens.Close(), os.RemoveAll(p.dir))
}
