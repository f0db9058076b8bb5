// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package podip gives the pods of one node their addresses: one of each family out of the node's pod ranges
// (Node.spec.podCIDRs), keyed by container and interface.
//
// The ranges are never remembered: whoever opens the allocator says what they are now, so a node that was re-created under its name
// with an old store on disk does not go on with the range it had before. What is remembered, one record an attachment, is written
// durably before an address is handed out and removed durably before it can be handed out again.
package podip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// The kinds of errors. They are wrapped: test with errors.Is.
var (
	// ErrNoRange means that the node's pod range is not known (yet): try again later.
	ErrNoRange = errors.New("the node's pod range is not known")
	// ErrExhausted means that a range has no free address: try again when pods are gone.
	ErrExhausted = errors.New("no free address")
	// ErrBusy means that the same attachment is being allocated or released at this moment: try again later.
	ErrBusy = errors.New("the attachment is in the middle of another operation")
	// ErrExists is a Store's answer to the Put of an attachment that has a record.
	ErrExists = errors.New("the attachment has a record")
	// ErrInUse means that another attachment holds an address of the record.
	ErrInUse = errors.New("the address is in use")
)

// Key names an attachment: one interface of one container.
type Key struct {
	ContainerID string
	Interface   string
}

// String is "container/interface".
func (k Key) String() string { return k.ContainerID + "/" + k.Interface }

// The CNI specification, section "Parameters", allows these container IDs; the bound keeps file names short enough.
var containerID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,199}$`)

// Validate says what is wrong with the key. A valid one is safe in a file name.
func (k Key) Validate() error {
	if !containerID.MatchString(k.ContainerID) {
		return fmt.Errorf("container ID %q: want 1 to 200 letters, digits, '_', '.', '-', the first a letter or digit", k.ContainerID)
	}
	// The kernel's rule (dev_valid_name): shorter than IFNAMSIZ, no slash, colon or blank.
	if n := len(k.Interface); n < 1 || n > 15 || k.Interface == "." || k.Interface == ".." || strings.ContainsAny(k.Interface, "/: \t\n\v\f\r") {
		return fmt.Errorf("interface %q: want 1 to 15 characters without '/', ':' and blanks", k.Interface)
	}
	return nil
}

// ParseKey is the inverse of Key.String.
func ParseKey(s string) (Key, error) {
	container, iface, ok := strings.Cut(s, "/")
	if !ok {
		return Key{}, fmt.Errorf("attachment %q: want container/interface", s)
	}
	k := Key{ContainerID: container, Interface: iface}
	return k, k.Validate()
}

// Record is what one attachment holds.
type Record struct {
	Key
	// Network is the name of the CNI network, which garbage collection is bound to.
	Network string
	// Pod is "namespace/name", for people.
	Pod string
	// MTU of the wire in bytes, as it was when the attachment was made.
	MTU int
	// Addrs are the addresses, in the order of the node's ranges.
	Addrs []netip.Addr
	// Sequence counts the allocations of a node. The highest one in the store tells where to go on.
	Sequence uint64
}

// Store keeps records. A Put or Delete that returned without error survives whatever happens next; one that returned an error, or did
// not return, happened entirely or not at all. Different keys may be written in parallel.
type Store interface {
	// Load returns all records. An error of type *DamagedError comes with the records that could be read.
	Load(ctx context.Context) ([]Record, error)
	// Put adds a record; ErrExists if the key has one.
	Put(ctx context.Context, r Record) error
	// Delete removes the record of a key, if there is one.
	Delete(ctx context.Context, k Key) error
}

// DamagedError names the records that cannot be read. They were put aside; what they held must be found out from the kernel.
type DamagedError struct {
	Names []string
}

// Error implements error.
func (e *DamagedError) Error() string {
	return "damaged records, put aside: " + strings.Join(e.Names, ", ")
}
