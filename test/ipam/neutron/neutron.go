// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package neutron starts OpenStack's network and identity services, the real ones, for tests: Neutron 21 and Keystone 22 from
// Debian's packages, over SQLite, without a message queue or agents, on loopback. Neutron asks Keystone about every token, as in
// a cloud. It needs root, and Debian 12 with apt for the first time: the packages are unpacked into a private root under the
// user's cache and never installed. What it starts ends with the process that started it, however that ends.
package neutron

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// readyTimeout is generous: on a busy machine Python takes its time to load half of OpenStack.
const readyTimeout = 2 * time.Minute

// Cloud is a running Keystone with its Neutron.
type Cloud struct {
	// AuthURL of Keystone, ending in /v3.
	AuthURL string
	// NetworkURL of Neutron, without the version.
	NetworkURL string

	state string
	log   *os.File
	stdin io.Closer // its end is the signal to stop
	done  chan error
	admin *admin
}

// Missing says why the services cannot run here, or is empty.
func Missing() string {
	if os.Geteuid() != 0 {
		return "it needs root: Neutron and Keystone run in a private root"
	}
	for _, tool := range []string{"apt-get", "dpkg-deb", "unshare", "chroot", "mount", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Sprintf("it needs %s: Neutron and Keystone come from Debian's packages", tool)
		}
	}
	return ""
}

// Start prepares the root if that was not done yet, which takes a minute or two and is told on stderr, and starts both services.
func Start(ctx context.Context) (*Cloud, error) {
	dir, err := root(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	return start(ctx, dir, false)
}

// start serves from a copy of the prepared state. The first time Python's compiled files are kept in the root.
func start(ctx context.Context, dir string, first bool) (_ *Cloud, err error) {
	state, err := os.MkdirTemp("", "neutron-")
	if err != nil {
		return nil, err
	}
	c := &Cloud{state: state, done: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if err := os.CopyFS(filepath.Join(state, "run"), os.DirFS(filepath.Join(dir, "state"))); err != nil {
		return nil, fmt.Errorf("copying the prepared databases: %w", err)
	}
	if c.log, err = os.Create(filepath.Join(state, "log")); err != nil {
		return nil, err
	}
	var sockets []*os.File
	defer func() {
		for _, s := range sockets {
			_ = s.Close() // the servers have their own by now
		}
	}()
	for _, url := range []*string{&c.AuthURL, &c.NetworkURL} {
		socket, address, err := listen()
		if err != nil {
			return nil, err
		}
		sockets, *url = append(sockets, socket), "http://"+address
	}
	if err := configure(filepath.Join(state, "run"), c.AuthURL, c.NetworkURL); err != nil {
		return nil, err
	}
	c.AuthURL += "/v3"
	if err := c.serve(ctx, dir, sockets, first); err != nil {
		return nil, err
	}
	if err := c.ready(ctx); err != nil {
		return nil, fmt.Errorf("%w; the end of their log: %s", err, c.logTail())
	}
	c.admin, err = newAdmin(ctx, c)
	return c, err
}

// listen opens a socket for a server that is yet to be started.
func listen() (*os.File, string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = l.Close() }() // f is the same socket
	f, err := l.(*net.TCPListener).File()
	return f, l.Addr().String(), err
}

// serve starts both, on a copy of the state in memory: nobody needs it to survive, and SQLite waits for the disk at every step.
// They end when their standard input does, so they cannot outlive this process.
func (c *Cloud) serve(ctx context.Context, dir string, sockets []*os.File, first bool) error {
	cmd := enter(context.WithoutCancel(ctx), dir, filepath.Join(c.state, "run"), `
		mount -t tmpfs tmpfs "$root/run/stack"
		cp -a "$state/." "$root/run/stack/"
		python serve.py keystone 3 </dev/null &
		python serve.py neutron 4 </dev/null &
		read -r forever || exit 0`)
	cmd.ExtraFiles = sockets
	cmd.Stdout, cmd.Stderr = c.log, c.log
	if !first {
		cmd.Env = append(os.Environ(), "DONTCOMPILE=1")
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.stdin = stdin
	go func() { c.done <- cmd.Wait() }()
	return nil
}

// ready waits until both have answered. Their sockets are open already, so one request each is enough.
func (c *Cloud) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, url := range []string{c.AuthURL, c.NetworkURL} {
		answered := make(chan error, 1)
		go func() { answered <- get(ctx, url) }()
		select {
		case err := <-answered:
			if err != nil {
				return fmt.Errorf("waiting for the services: %w", err)
			}
		case err := <-c.done:
			c.done <- err
			return fmt.Errorf("the services ended (%w)", errors.Join(err, errors.New("not asked to")))
		}
	}
	return nil
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// Log is what both services have said so far.
func (c *Cloud) Log() string {
	said, err := os.ReadFile(c.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(said)
}

func (c *Cloud) logTail() string { return tail([]byte(c.Log())) }

// Stop ends both services and removes what they wrote.
func (c *Cloud) Stop() error {
	var errs []error
	if c.stdin != nil {
		errs = append(errs, c.stdin.Close(), <-c.done)
	}
	if c.log != nil {
		errs = append(errs, c.log.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(c.state))...)
}
