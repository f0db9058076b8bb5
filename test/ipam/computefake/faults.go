// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package computefake

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Fault is one misbehaviour of one call.
type Fault struct {
	// Method that misbehaves, for example "addresses.insert".
	Method string
	// Skip is how many calls of the method go well before.
	Skip int
	// Status, Reason and Message are answered instead of doing anything. Without a reason the answer is no JSON, as that of a proxy.
	// $TOKEN in the message becomes the token of the request.
	Status          int
	Reason, Message string
	// LoseRequest ends the connection before anything was done.
	LoseRequest bool
	// LoseReply ends the connection after everything was done.
	LoseReply bool
	// Hang does nothing and never answers.
	Hang bool
	// Operation is the code with which the operation ends that the call starts; nothing comes of it.
	Operation string
}

// Inject faults; each is for one call.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &f)
	}
}

func (s *Server) fault(method string) *Fault {
	for i, f := range s.faults {
		if f.Method != method {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			return nil
		}
		s.faults = slices.Delete(s.faults, i, i+1)
		return f
	}
	return nil
}

// Deny takes the permission for a method away.
func (s *Server) Deny(method string) { s.set(func() { s.denied[method] = true }) }

// Grant gives it back.
func (s *Server) Grant(method string) { s.set(func() { delete(s.denied, method) }) }

// Steps is how many further requests an operation takes to be done; 0 lets it be done in the first answer.
func (s *Server) Steps(n int) { s.set(func() { s.steps = n }) }

// ShowReserving lets an address be seen, without its prefix, while it is being made.
func (s *Server) ShowReserving() { s.set(func() { s.reserving = true }) }

// Lag lets the next n lists miss the latest address.
func (s *Server) Lag(n int) { s.set(func() { s.lag = n }) }

// PageSize is how many addresses a page of a list has at most.
func (s *Server) PageSize(n int) { s.set(func() { s.pageSize = n }) }

// Quota is how many external ranges a region may have.
func (s *Server) Quota(n int) { s.set(func() { s.quota = n }) }

// Room is how many ranges a subnetwork gives out at most.
func (s *Server) Room(path string, n int) { s.set(func() { s.subnetworks[path].room = n }) }

// Use marks an address as used by a resource, "" as unused.
func (s *Server) Use(path, user string) {
	s.set(func() {
		s.addresses[path].users = nil
		if user != "" {
			s.addresses[path].users = []string{s.link(user)}
		}
	})
}

// Remove an address, as a person does by hand.
func (s *Server) Remove(path string) { s.set(func() { delete(s.addresses, path) }) }

// Describe changes a description, which the service does not allow.
func (s *Server) Describe(path, text string) {
	s.set(func() { s.addresses[path].description = text })
}

// Label puts labels on an address, as a person does.
func (s *Server) Label(path string, labels map[string]string) {
	s.set(func() { s.addresses[path].labels = labels; s.addresses[path].print++ })
}

// ForgetRequests lets the request IDs be forgotten, as the service does after a while.
func (s *Server) ForgetRequests() { s.set(func() { s.requests = map[string]string{} }) }

// Calls is how often a method was called.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Dump lists the addresses, one "path prefix description labels" a line, sorted.
func (s *Server) Dump() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for path, a := range s.addresses {
		line := fmt.Sprintf("%s %s %q", path, a.prefix, a.description)
		if len(a.labels) > 0 {
			line += fmt.Sprintf(" %v", a.labels)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (s *Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, 1<<20)) }
