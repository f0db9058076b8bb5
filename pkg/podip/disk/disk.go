// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package disk keeps the records of pod addresses as files, one an attachment, so that they survive the agent being killed at any
// point and the machine losing power.
//
// A record is written to a file beside, synced, and renamed to its name; then the directory is synced. So a file under a record's name
// is always complete. Files that end in .tmp are what a crash left behind, and are removed at the next Load; files that end in .damaged
// could not be read and are kept for people.
package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

const (
	suffix  = ".json"
	temp    = ".tmp"
	damaged = ".damaged"
	// version of the file format.
	version = 1
)

// file is a record as it is written.
type file struct {
	Version     int          `json:"version"`
	ContainerID string       `json:"containerID"`
	Interface   string       `json:"interface"`
	Network     string       `json:"network,omitempty"`
	Pod         string       `json:"pod,omitempty"`
	MTU         int          `json:"mtu,omitempty"`
	Addresses   []netip.Addr `json:"addresses"`
	Sequence    uint64       `json:"sequence"`
}

// Store is a podip.Store in a directory of its own. Only one process may use the directory at a time; a lock, which ends with the
// process, sees to it.
type Store struct {
	dir  string
	lock *os.File
	// step is called between the system calls of a write, by name; tests die there.
	step func(string)
}

// New makes the directory if need be, and takes it.
func New(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the operator's directory
		return nil, fmt.Errorf("address store: %w", err)
	}
	lock, err := os.Open(dir) //nolint:gosec // the operator's directory
	if err != nil {
		return nil, fmt.Errorf("address store: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("address store: another process uses %s: %w", dir, err), lock.Close())
	}
	return &Store{dir: dir, lock: lock, step: func(string) {}}, nil
}

// Close gives the directory to others.
func (s *Store) Close() error { return s.lock.Close() }

// Load implements podip.Store.
func (s *Store) Load(_ context.Context) ([]podip.Record, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("address store: %w", err)
	}
	var records []podip.Record
	var bad []string
	for _, e := range entries {
		path := filepath.Join(s.dir, e.Name())
		switch {
		case strings.HasSuffix(e.Name(), temp):
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("address store: %w", err)
			}
		case strings.HasSuffix(e.Name(), suffix):
			r, err := read(path)
			if errors.Is(err, errDamaged) {
				bad = append(bad, fmt.Sprintf("%s (%v)", e.Name(), err))
				err = os.Rename(path, path+damaged)
			} else if err == nil {
				records = append(records, r)
			}
			if err != nil {
				return nil, fmt.Errorf("address store: %w", err)
			}
		}
	}
	// A rename of the last run may not have been synced: whatever was read above must stay.
	if err := s.sync(); err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		return records, &podip.DamagedError{Names: bad}
	}
	return records, nil
}

var errDamaged = errors.New("not a record")

func read(path string) (podip.Record, error) {
	data, err := os.ReadFile(path) //nolint:gosec // a name out of our own directory
	if err != nil {
		return podip.Record{}, err
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return podip.Record{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	r := podip.Record{
		Key: podip.Key{ContainerID: f.ContainerID, Interface: f.Interface}, Network: f.Network, Pod: f.Pod,
		MTU: f.MTU, Addrs: f.Addresses, Sequence: f.Sequence,
	}
	switch {
	case f.Version != version:
		return r, fmt.Errorf("%w: version %d, want %d", errDamaged, f.Version, version)
	case r.Validate() != nil:
		return r, fmt.Errorf("%w: %w", errDamaged, r.Validate())
	case name(r.Key) != filepath.Base(path):
		return r, fmt.Errorf("%w: it is of %s", errDamaged, r.Key)
	case len(r.Addrs) == 0:
		return r, fmt.Errorf("%w: no addresses", errDamaged)
	}
	return r, nil
}

// name cannot be the same for two keys, as neither part of a key holds a colon.
func name(k podip.Key) string { return k.ContainerID + ":" + k.Interface + suffix }

// Put implements podip.Store.
func (s *Store) Put(_ context.Context, r podip.Record) error {
	if err := r.Validate(); err != nil {
		return err
	}
	data, err := json.Marshal(file{
		Version: version, ContainerID: r.ContainerID, Interface: r.Interface, Network: r.Network, Pod: r.Pod,
		MTU: r.MTU, Addresses: r.Addrs, Sequence: r.Sequence,
	})
	if err != nil {
		return fmt.Errorf("address store: %w", err)
	}
	path := filepath.Join(s.dir, name(r.Key))
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("address store: %s: %w", r.Key, podip.ErrExists)
	}
	if err := s.writeSynced(path+temp, append(data, '\n')); err != nil {
		return fmt.Errorf("address store: %w", err)
	}
	if err := os.Rename(path+temp, path); err != nil {
		return fmt.Errorf("address store: %w", err)
	}
	s.step("renamed")
	return s.sync()
}

func (s *Store) writeSynced(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // a name out of our own directory
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s.step("created")
	if _, err := f.Write(data); err != nil {
		return err
	}
	s.step("written")
	if err := f.Sync(); err != nil {
		return err
	}
	s.step("synced")
	return nil
}

// Delete implements podip.Store.
func (s *Store) Delete(_ context.Context, k podip.Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(s.dir, name(k)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("address store: %w", err)
	}
	s.step("removed")
	return s.sync()
}

// sync makes the renames and removals in the directory durable.
func (s *Store) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return fmt.Errorf("address store: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("address store: sync: %w", err)
	}
	s.step("durable")
	return nil
}

// Dump returns the names of the records, for tests and people.
func (s *Store) Dump() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("address store: %w", err)
	}
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, nil
}
