// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package program runs the servers of other projects that the tests of IPAM backends need beside a kube-apiserver. They come
// from the cache that "make binaries" fills.
package program

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// Program is a server that can be stopped and started again.
type Program struct {
	// Name of its binary.
	Name string
	// Args it is started with.
	Args []string
	// Ready tells whether it serves.
	Ready func(context.Context) error
	// Log is the file that its output goes to.
	Log string

	cmd    *exec.Cmd
	exited chan struct{}
}

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = 20 * time.Second
)

// Start starts it and waits until it is ready.
func (p *Program) Start() error {
	binaries, err := envtest.BinariesDir()
	if err != nil {
		return err
	}
	path := filepath.Join(binaries, p.Name)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%s is missing, \"make binaries\" builds it: %w", p.Name, err)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.cmd, p.exited = exec.Command(path, p.Args...), make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.exited) }()
	if err := p.wait(); err != nil {
		p.Stop()
		text, _ := os.ReadFile(p.Log)
		return fmt.Errorf("%s does not get ready: %w\n%s", p.Name, err, text)
	}
	return nil
}

func (p *Program) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := p.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it has ended: %s", p.cmd.ProcessState)
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends it. It may be called twice.
func (p *Program) Stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}

// Answers tells whether a URL answers with 200.
func Answers(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return errors.New(url + ": " + response.Status)
		}
		return nil
	}
}

// FreePort on the loopback address.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// ModuleDir is where the sources of a module lie that the module hack/tools/<tool> requires.
func ModuleDir(tool, module string) (string, error) {
	root, err := envtest.RepositoryRoot()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Dir = filepath.Join(root, "hack", "tools", tool)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w: %s", module, err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// Manifest returns the text of the yaml block of a document in docs/ that begins with "# <title>": what people copy from it is
// what the tests use.
func Manifest(document, title string) (string, error) {
	root, err := envtest.RepositoryRoot()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", document))
	if err != nil {
		return "", err
	}
	_, after, found := strings.Cut(string(text), "```yaml\n# "+title+"\n")
	block, _, closed := strings.Cut(after, "\n```")
	if !found || !closed {
		return "", fmt.Errorf("%s has no yaml block that begins with \"# %s\"", document, title)
	}
	return block, nil
}
