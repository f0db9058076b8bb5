// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// GoBGP sets the password of peers that connect to us on a socket that listens, which must not be one of MPTCP.
//
//go:debug multipathtcp=0

// Package bgp tests the node's BGP speaker against routers that others have written: BIRD, in network namespaces, with its routes in
// the kernel. It needs root.
package bgp_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/bgp/gobgp"
)

// speakerEnv makes this binary a speaker that takes orders on its standard input. A namespace holds a process, not a goroutine.
const speakerEnv = "BGP_TEST_SPEAKER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(speakerEnv); mode != "" {
		if err := speak(mode); err != nil {
			fmt.Fprintln(os.Stderr, "speaker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The tests mostly wait for timers, not for the processor.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := stopCluster(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// order to the speaker's process, one a line; it answers each with a line.
type order struct {
	Apply    *bgp.Desired `json:"apply,omitempty"`
	Withdraw bool         `json:"withdraw,omitempty"`
	Leave    bool         `json:"leave,omitempty"`
}

type answer struct {
	Error  string     `json:"error,omitempty"`
	Status bgp.Status `json:"status"`
	// Changed: the speaker said so since the last answer.
	Changed bool `json:"changed,omitempty"`
}

// speak as "first", as "restarting" after an earlier process, or as "quiet", first and without a log.
func speak(mode string) error {
	level := slog.LevelInfo
	if mode == "quiet" {
		level = slog.LevelError
	}
	speaker := gobgp.New(gobgp.Options{
		Restarting: mode == "restarting", LimitRetry: 2 * time.Second, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return err
		}
		var a answer
		err := obey(speaker, o, &a)
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
		if o.Leave {
			return nil
		}
	}
	return in.Err()
}
