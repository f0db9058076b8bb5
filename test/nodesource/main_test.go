// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package nodesource tests where a node's prefix comes from, in network namespaces: imitated metadata servers at their real addresses, and
// servers that others have written: Kea for DHCPv6, radvd for router advertisements. It needs root.
package nodesource_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/dhcpv6"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/linkprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource/metadata"
)

// sourceEnv makes this binary a node's source that takes orders on its standard input: a namespace holds a process, not a goroutine.
const sourceEnv = "NODESOURCE_TEST_SOURCE"

func TestMain(m *testing.M) {
	if text := os.Getenv(sourceEnv); text != "" {
		if err := serve(text); err != nil {
			fmt.Fprintln(os.Stderr, "source:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// setup of a source; one of them.
type setup struct {
	Metadata *metadata.Options
	DHCPv6   *dhcpv6.Options
	Link     *linkprefix.Options
}

// answer of the source's process.
type answer struct {
	Changed  bool                  `json:"changed,omitempty"`
	Prefixes []nodesource.Prefix   `json:"prefixes,omitempty"`
	Error    string                `json:"error,omitempty"`
	None     bool                  `json:"none,omitempty"`
	Closed   bool                  `json:"closed,omitempty"`
	Lost     *nodesource.LostError `json:"lost,omitempty"`
}

func (s setup) open() (nodesource.Source, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch {
	case s.Metadata != nil:
		s.Metadata.Log = log
		return metadata.New(*s.Metadata)
	case s.DHCPv6 != nil:
		s.DHCPv6.Log = log
		return dhcpv6.New(*s.DHCPv6)
	}
	s.Link.Log = log
	return linkprefix.New(*s.Link)
}

func serve(text string) error {
	var set setup
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return err
	}
	source, err := set.open()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(a answer) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(a)
	}
	go func() {
		for range source.Changed() {
			say(answer{Changed: true})
		}
	}()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var a answer
		var err error
		if in.Text() == "close" {
			err = source.Close(context.Background())
		} else {
			a.Prefixes, err = source.Prefixes(context.Background())
		}
		if err != nil {
			a.Error, a.None, a.Closed = err.Error(), errors.Is(err, nodesource.ErrNone), errors.Is(err, nodesource.ErrClosed)
			errors.As(err, &a.Lost)
		}
		say(a)
	}
	return in.Err()
}

// remote is a source in another process: it is one itself.
type remote struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan answer
	changed chan struct{}
	mu      sync.Mutex
}

// start a source in the namespace.
func start(t *testing.T, s *space, set setup) *remote {
	t.Helper()
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this binary
	// A proxy that is there for the rest of the node's programs has no part in this.
	cmd.Env = append(os.Environ(), sourceEnv+"="+string(text), "HTTP_PROXY=http://192.0.2.1:3128", "http_proxy=http://192.0.2.1:3128")
	cmd.Stderr = testWriter{t, "source"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.within(cmd.Start); err != nil {
		t.Fatal(err)
	}
	r := &remote{t: t, cmd: cmd, in: in, answers: make(chan answer), changed: make(chan struct{}, 1)}
	go func() {
		defer close(r.answers)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var a answer
			if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
				return
			}
			if a.Changed {
				nodesource.Notify(r.changed)
				continue
			}
			r.answers <- a
		}
	}()
	t.Cleanup(r.kill)
	return r
}

// kill the source as a crash would.
func (r *remote) kill() {
	_ = r.in.Close()
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func (r *remote) order(ctx context.Context, what string) ([]nodesource.Prefix, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := io.WriteString(r.in, what+"\n"); err != nil {
		return nil, err
	}
	a, ok := <-r.answers
	switch {
	case !ok:
		return nil, errors.New("the source's process has ended")
	case a.Lost != nil:
		return nil, fmt.Errorf("%s\n%w", a.Error, a.Lost)
	case a.None:
		return nil, fmt.Errorf("%s\n%w", a.Error, nodesource.ErrNone)
	case a.Closed:
		return nil, nodesource.ErrClosed
	case a.Error != "":
		return nil, errors.New(a.Error)
	}
	return a.Prefixes, nil
}

func (r *remote) Prefixes(ctx context.Context) ([]nodesource.Prefix, error) {
	return r.order(ctx, "prefixes")
}

func (r *remote) Changed() <-chan struct{} { return r.changed }

func (r *remote) Close(ctx context.Context) error {
	_, err := r.order(ctx, "close")
	return err
}

// now is what the source gives, or says, in short.
func (r *remote) now() string {
	ps, err := r.Prefixes(context.Background())
	if err != nil {
		return "error: " + err.Error()
	}
	var texts []string
	for _, p := range ps {
		text := p.Prefix.String()
		if p.Deprecated {
			text += " deprecated"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ",")
}

// gives waits for what the source gives.
func (r *remote) gives(want any) {
	r.t.Helper()
	NewWithT(r.t).Eventually(r.now).WithTimeout(soon).WithPolling(50 * time.Millisecond).Should(matches(want))
}

const soon = 30 * time.Second
