// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package cnirpc is the conversation between the CNI plugin and the agent: one request and one response over a Unix socket, each a
// length (four bytes, big endian) and JSON. The pod's network namespace travels with the request as an open file (SCM_RIGHTS), so the
// agent needs neither the runtime's mounts nor its view of processes.
package cnirpc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Version of the protocol. The agent answers requests of its own version and of the one before.
const Version = 1

// maxMessage bounds a message in bytes: a garbage collection names every attachment of a node, about 100 bytes each.
const maxMessage = 4 << 20

// Command is what the runtime wants.
type Command string

// The commands of the CNI specification, section "CNI operations".
const (
	Add    Command = "ADD"
	Del    Command = "DEL"
	Check  Command = "CHECK"
	GC     Command = "GC"
	Status Command = "STATUS"
)

// Attachment is one interface of one container.
type Attachment struct {
	ContainerID string `json:"containerID"`
	Interface   string `json:"interface"`
}

// Request is what the plugin asks.
type Request struct {
	Version int     `json:"version"`
	Command Command `json:"command"`
	// Network is the name of the CNI network.
	Network string `json:"network,omitempty"`
	// Attachment is whose interface it is (ADD, DEL, CHECK).
	Attachment Attachment `json:"attachment,omitzero"`
	// Pod is "namespace/name", if the runtime says so.
	Pod string `json:"pod,omitempty"`
	// Valid are the attachments to keep (GC).
	Valid []Attachment `json:"valid,omitempty"`
	// Addrs are the addresses that the runtime believes the attachment to have (CHECK).
	Addrs []netip.Addr `json:"addrs,omitempty"`
}

// Result is what became of an ADD.
type Result struct {
	HostInterface string       `json:"hostInterface"`
	HostMAC       string       `json:"hostMAC"`
	PodMAC        string       `json:"podMAC"`
	MTU           int          `json:"mtu"`
	Addrs         []netip.Addr `json:"addrs"`
	// Gateways are in the order of Addrs.
	Gateways []netip.Addr `json:"gateways"`
}

// Code is an error code of the CNI specification, section "Error".
type Code uint

// The codes in use.
const (
	CodeInvalidEnvironment Code = 4
	CodeIO                 Code = 5
	CodeDecoding           Code = 6
	CodeInvalidConfig      Code = 7
	CodeTryAgainLater      Code = 11
	// CodeNotAvailable is STATUS's: no ADD can be served.
	CodeNotAvailable Code = 50
	CodeInternal     Code = 999
	// CodeCheckFailed is ours (100 and above are the plugins').
	CodeCheckFailed Code = 100
)

// Error is a failure with its CNI code.
type Error struct {
	Code    Code   `json:"code"`
	Msg     string `json:"msg"`
	Details string `json:"details,omitempty"`
}

// Error implements error.
func (e *Error) Error() string {
	if e.Details == "" {
		return e.Msg
	}
	return e.Msg + ": " + e.Details
}

// Response is what the agent answers. Error or Result is set, or neither.
type Response struct {
	Version int     `json:"version"`
	Result  *Result `json:"result,omitempty"`
	Error   *Error  `json:"error,omitempty"`
}

// encode returns the length and the value.
func encode(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	if len(body) > maxMessage {
		return nil, fmt.Errorf("encode message: %d bytes, at most %d are allowed", len(body), maxMessage)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

// decode reads a message whose first bytes may have been read already.
func decode(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("read message: %d bytes announced, at most %d are allowed", n, maxMessage)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read message: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode message: %w", err)
	}
	return nil
}
