// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// E2E runs upstream's end-to-end tests against a cluster. They have to be built: see package build.
type E2E struct {
	// Host is where the tests run. It has to reach the API server, and the nodes at their NodePorts.
	Host *Host
	// Kubeconfig of an administrator, with an address of the API server that Host reaches.
	Kubeconfig string
	// Focus and Skip are regular expressions over the tests' names; an empty Skip skips none.
	Focus, Skip string
	// Nodes the cluster has.
	Nodes int
	// Processes at once; 4 if zero.
	Processes int
	// Dir gets the log and the reports.
	Dir string
	// Limit is how long all of it may take; an hour if zero.
	Limit time.Duration
}

// E2EResult counts tests.
type E2EResult struct {
	// Ran and Passed of those in focus.
	Ran, Passed int
	// Failed are the names of those that failed.
	Failed []string
	// Log is the file with all output.
	Log string
}

// Run runs the tests. An error says that they could not be run, or that some failed; the result then tells which.
func (e E2E) Run(ctx context.Context) (E2EResult, error) {
	result := E2EResult{Log: filepath.Join(e.Dir, "e2e.log")}
	if err := os.MkdirAll(e.Dir, 0o750); err != nil {
		return result, fmt.Errorf("end-to-end tests: %w", err)
	}
	log, err := os.Create(result.Log)
	if err != nil {
		return result, fmt.Errorf("end-to-end tests: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := e.command(ctx)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result, fmt.Errorf("end-to-end tests: %w", err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return result, fmt.Errorf("end-to-end tests: %w", err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = fmt.Fprintln(log, lines.Text())
		result.read(lines.Text())
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	if err == nil && result.Ran == 0 {
		err = errors.New("no test is in focus")
	}
	if err != nil {
		return result, fmt.Errorf("end-to-end tests: %d of %d passed: %w; see %s", result.Passed, result.Ran, err, result.Log)
	}
	return result, nil
}

func (e E2E) command(ctx context.Context) *exec.Cmd {
	processes, limit, skip := e.Processes, e.Limit, e.Skip
	if processes == 0 {
		processes = 4
	}
	if limit == 0 {
		limit = time.Hour
	}
	if skip == "" {
		skip = "^$" // no test has an empty name
	}
	l := e.Host.l
	return e.Host.Command(ctx, l.program("ginkgo"), "--procs="+strconv.Itoa(processes), "--no-color", "--keep-going", "--silence-skips",
		"--timeout="+limit.String(), "--focus="+e.Focus, "--skip="+skip, l.program("e2e.test"), "--",
		"--provider=skeleton", "--kubeconfig="+e.Kubeconfig, "--kubectl-path="+l.program("kubectl"), "--num-nodes="+strconv.Itoa(e.Nodes),
		"--report-dir="+e.Dir, "--report-complete-ginkgo=false", "--disable-log-dump=true", "--dump-logs-on-failure=false",
		"--node-schedulable-timeout=2m", "--system-pods-startup-timeout=2m", "--delete-namespace=true", "--delete-namespace-on-failure=true")
}

var (
	failLine  = regexp.MustCompile(`^\s*\[FAIL\] (.*)`)
	countLine = regexp.MustCompile(`^(?:SUCCESS|FAIL)! .*?(\d+) Passed \| (\d+) Failed`)
)

// read takes from a line of ginkgo's output what the result needs.
func (r *E2EResult) read(line string) {
	if m := failLine.FindStringSubmatch(line); m != nil {
		if name := strings.TrimSpace(m[1]); !slices.Contains(r.Failed, name) {
			r.Failed = append(r.Failed, name)
		}
	}
	if m := countLine.FindStringSubmatch(line); m != nil {
		passed, _ := strconv.Atoi(m[1])
		failed, _ := strconv.Atoi(m[2])
		r.Passed, r.Ran = passed, passed+failed
	}
}
