// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package ec2fake is a fake of Amazon EC2's VPC IPAM and of STS, on the wire: it speaks their query protocols, verifies
// signatures of version 4, and misbehaves on demand as the services do: it throttles, pages, lags behind, loses requests and
// replies, runs out, and refuses credentials. It knows the actions that pkg/reservation/aws calls. It is written from the
// documentation and from messages that users have reported; it was never compared with AWS itself.
package ec2fake

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Region that signatures must be made for.
const Region = "eu-test-1"

// Fault is one misbehaviour, of the next call that it fits.
type Fault struct {
	// Action that it is for, empty: any.
	Action string
	// When restricts it to certain calls; nil does not.
	When func(url.Values) bool
	// LostRequest closes the connection before anything happened.
	LostRequest bool
	// LostReply does what was asked and closes the connection.
	LostReply bool
	// Status, Code and Message are answered in place of doing what was asked.
	Status        int
	Code, Message string
	// Before runs before the call is served, as something that happens at the same time.
	Before func()
}

// Throttled is what EC2 answers a client that calls too often.
func Throttled(action string) Fault {
	return Fault{Action: action, Status: http.StatusServiceUnavailable, Code: "RequestLimitExceeded", Message: "Request limit exceeded."}
}

// Server is the fake.
type Server struct {
	// URL of EC2 and STS alike.
	URL string
	// PageSize of lists.
	PageSize int

	mu     sync.Mutex
	keys   map[string]*key
	tokens map[string]string // web identity token → role
	pools  map[string]*pool
	answer map[string]answered // client token →
	before []*allocation       // what the pools held before the last change
	lag    int
	faults []Fault
	calls  map[string]int
	serial int
}

// key is an access key.
type key struct {
	secret, session string
	expired         bool
	forbidden       []string
}

type answered struct {
	parameters string
	allocation allocation
}

// Start a fake that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		PageSize: 5, keys: map[string]*key{}, tokens: map[string]string{}, pools: map[string]*pool{},
		answer: map[string]answered{}, calls: map[string]int{},
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// AddKey makes an access key that may do everything but what is forbidden.
func (s *Server) AddKey(id, secret string, forbidden ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = &key{secret: secret, forbidden: forbidden}
}

// RemoveKey deletes an access key.
func (s *Server) RemoveKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
}

// ExpireSessions ends all sessions that STS has opened.
func (s *Server) ExpireSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		k.expired = k.expired || k.session != ""
	}
}

// Trust a web identity's token for a role; an empty role ends the trust.
func (s *Server) Trust(token, role string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = role
}

// Inject queues faults.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Forget the faults that have not happened yet.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Pending is how many faults have not happened yet.
func (s *Server) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.faults)
}

// Lag makes the next n lists miss the latest change, as EC2's lists do for a while.
func (s *Server) Lag(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = n
}

// Calls is how often an action was called, also in vain.
func (s *Server) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}

// Actions that were called.
func (s *Server) Actions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sortedKeys(s.calls)
}

func (s *Server) takeFault(action string, form url.Values) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[action]++
	i := slices.IndexFunc(s.faults, func(f Fault) bool {
		return (f.Action == "" || f.Action == action) && (f.When == nil || f.When(form))
	})
	if i < 0 {
		return Fault{}, false
	}
	f := s.faults[i]
	s.faults = slices.Delete(s.faults, i, i+1)
	return f, true
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		writeError(w, problem{http.StatusBadRequest, "MalformedQueryString", "The query string contains a syntax error."})
		return
	}
	action := form.Get("Action")
	fault, faulty := s.takeFault(action, form)
	switch {
	case faulty && fault.Before != nil:
		fault.Before()
	case faulty && fault.LostRequest:
		hangUp(w)
		return
	case faulty && fault.Code != "":
		writeError(w, problem{fault.Status, fault.Code, fault.Message})
		return
	}
	reply, wrong := s.serve(r, body, action, form)
	if faulty && fault.LostReply {
		hangUp(w)
		return
	}
	if wrong != nil {
		writeError(w, *wrong)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(reply)
}

func (s *Server) serve(r *http.Request, body []byte, action string, form url.Values) (any, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if action == "AssumeRoleWithWebIdentity" && form.Get("Version") == "2011-06-15" {
		return s.assumeRole(form)
	}
	if form.Get("Version") != "2016-11-15" {
		return nil, badRequest("NoSuchVersion", "The requested version is not supported.")
	}
	k, wrong := s.authenticate(r, body)
	if wrong != nil {
		return nil, wrong
	}
	if slices.Contains(k.forbidden, action) {
		return nil, &problem{http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation. User: " +
			"arn:aws:iam::123456789012:user/gardener is not authorized to perform: ec2:" + action + " because no identity-based policy allows it. " +
			"Encoded authorization failure message: qwertyuiop-asdfghjkl"}
	}
	switch action {
	case "AllocateIpamPoolCidr":
		return s.allocate(form)
	case "GetIpamPoolAllocations":
		return s.listAllocations(form)
	case "GetIpamPoolCidrs":
		return s.listCidrs(form)
	case "ReleaseIpamPoolAllocation":
		return s.release(form)
	case "ModifyIpamPoolAllocation":
		return s.modify(form)
	}
	return nil, badRequest("InvalidAction", "The action %s is not valid for this web service.", action)
}

// hangUp ends the connection without a word.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// problem is an answer that is an error.
type problem struct {
	status        int
	code, message string
}

func badRequest(code, message string, args ...any) *problem {
	return &problem{http.StatusBadRequest, code, fmt.Sprintf(message, args...)}
}

// writeError in the form of EC2, which STS's client reads as well, for it looks for the same elements one level higher.
func writeError(w http.ResponseWriter, p problem) {
	type errorXML struct{ Code, Message string }
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(p.status)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName xml.Name `xml:"Response"`
		Errors  struct{ Error errorXML }
		Error   errorXML
		ID      string `xml:"RequestID"`
	}{Errors: struct{ Error errorXML }{errorXML{p.code, p.message}}, Error: errorXML{p.code, p.message}, ID: "00000000-fake"})
}

func (s *Server) id(prefix string) string {
	s.serial++
	return fmt.Sprintf("%s%017x", prefix, s.serial)
}

// Dump lists what the pools hold, one "pool prefix kind description" a line, in the order of the prefixes.
func (s *Server) Dump() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, a := range s.held() {
		lines = append(lines, fmt.Sprintf("%s %s %s %s\n", a.pool, a.prefix, a.kind, a.description))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Prefixes that a pool's allocations have.
func (s *Server) Prefixes(pool string) []netip.Prefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []netip.Prefix
	for _, a := range s.held() {
		if a.pool == pool {
			all = append(all, a.prefix)
		}
	}
	return all
}

// now is the services' clock.
func now() time.Time { return time.Now().UTC() }
