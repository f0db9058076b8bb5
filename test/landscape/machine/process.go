// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a process may take to end after SIGTERM.
	stopGrace = 10 * time.Second
	// killLimit is how long the kernel may take to end processes after SIGKILL.
	killLimit = 20 * time.Second
)

// Process is a program that runs on a host in the background.
type Process struct {
	// Name is unique on its host: NAME.pid, NAME.log and NAME.stamp in the host's directory belong to it.
	Name string
	// Command is the program and its arguments. A program without a slash is looked up in the landscape's
	// built programs first.
	Command []string
	// Env is added to a small environment of PATH and HOME; nothing is inherited.
	Env []string
	// Files are written before it starts. The process restarts when one of them changes.
	Files []File
}

// File is a file that a process reads.
type File struct {
	// Path is absolute.
	Path string
	// Content is written as it is; the file's mode is 0600.
	Content []byte
}

// Start runs a process in the background. If it runs already with the same command, environment and files, it is left alone;
// if they differ it is restarted.
func (h *Host) Start(ctx context.Context, p Process) error {
	stamp := filepath.Join(h.Dir(), p.Name+".stamp")
	want := p.stamp()
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want && h.Running(p.Name) { // #nosec G304 -- our own directory
		return nil
	}
	if err := h.Stop(ctx, p.Name); err != nil {
		return err
	}
	if err := os.MkdirAll(h.Dir(), 0o700); err != nil {
		return fmt.Errorf("starting %s on %s: %w", p.Name, h.Name, err)
	}
	for _, f := range p.Files {
		if err := writeFile(f.Path, f.Content); err != nil {
			return fmt.Errorf("starting %s on %s: %w", p.Name, h.Name, err)
		}
	}
	program := p.Command[0]
	if built := h.l.program(program); !strings.Contains(program, "/") && exists(built) {
		program = built
	}
	line, err := h.enter("spawn", "--pidfile", h.pidFile(p.Name), "--log", h.LogFile(p.Name))
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	line = append(append(line, program), p.Command[1:]...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...) // #nosec G204 -- runs what the landscape's driver asks for
	cmd.Env = h.environ(p.Env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("starting %s on %s: %w: %s", p.Name, h.Name, err, lastLines(string(out), 5))
	}
	return writeFile(stamp, []byte(want))
}

func (p Process) stamp() string {
	sum := sha256.New()
	_ = json.NewEncoder(sum).Encode(p)
	return hex.EncodeToString(sum.Sum(nil))
}

func (h *Host) pidFile(process string) string { return filepath.Join(h.Dir(), process+".pid") }

// Running tells whether a process started by Start still runs.
func (h *Host) Running(process string) bool {
	_, alive := readPIDFile(h.pidFile(process))
	return alive
}

// Stop ends a process: SIGTERM, ten seconds later SIGKILL. It is no error if it doesn't run.
func (h *Host) Stop(ctx context.Context, process string) error {
	return h.end(ctx, process, syscall.SIGTERM)
}

// Kill ends a process with SIGKILL, as a crash would.
func (h *Host) Kill(ctx context.Context, process string) error {
	return h.end(ctx, process, syscall.SIGKILL)
}

func (h *Host) end(ctx context.Context, process string, signal syscall.Signal) error {
	file := h.pidFile(process)
	pid, alive := readPIDFile(file)
	if !alive {
		return removeFile(file)
	}
	_ = syscall.Kill(pid, signal)
	gone := func(context.Context) error {
		if _, alive := readPIDFile(file); alive {
			return fmt.Errorf("%s is still process %d", process, pid)
		}
		return nil
	}
	what := fmt.Sprintf("end of %s on %s", process, h.Name)
	if err := wait(ctx, what, stopGrace, gone); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if err := wait(ctx, what, killLimit, gone); err != nil {
			return err
		}
	}
	return removeFile(file)
}

// LogTail gives the last lines that a process has written, to explain a failure.
func (h *Host) LogTail(process string, lines int) string {
	text, err := os.ReadFile(h.LogFile(process))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), lines)
}

// readPIDFile reads "PID STARTTIME" and tells whether that very process is alive. Process numbers are used anew; the
// time a process started at, in clock ticks since boot, tells it from a later one.
func readPIDFile(path string) (int, bool) {
	text, err := os.ReadFile(path) // #nosec G304 -- our own directory
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text))
	if len(fields) != 2 {
		return 0, false
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return 0, false
	}
	start, state, err := processStat(pid)
	return pid, err == nil && start == fields[1] && state != "Z" && state != "X"
}

// processStat reads the time a process started at and its state; see proc_pid_stat(5).
func processStat(pid int) (start, state string, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", err
	}
	// the program's name, in parentheses, may hold blanks: count from its end
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return "", "", fmt.Errorf("process %d: short /proc/stat", pid)
	}
	return fields[19], fields[0], nil
}

// writeFile writes beside and renames, so that nobody reads half a file.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
