// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package computefake is a fake, not an emulator, of the part of Google's Compute Engine API that has to do with regional
// addresses, and of Google's token endpoints. It speaks their JSON over HTTP, so that the real SDK drives it, and it is as mean as the service may be:
// operations take time and may fail at the end, a repeated request ID is answered with the operation of then, a released
// range is handed out again at once, lists lag and come in pages, calls are throttled, requests and replies get lost.
//
// Time goes by with requests: each one brings every running operation one step on.
package computefake

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Server is the fake.
type Server struct {
	// URL of the server, without a path.
	URL string

	mu          sync.Mutex
	subnetworks map[string]*subnetwork // by path
	addresses   map[string]*address    // by path
	operations  map[string]*operation  // by path
	requests    map[string]string      // path of the operation by request ID
	faults      []*Fault
	calls       map[string]int
	denied      map[string]bool
	steps       int // of new operations
	reserving   bool
	lag         int
	pageSize    int
	quota       int
	counter     int
	identity    identity
}

type subnetwork struct {
	path   string
	access string
	prefix netip.Prefix
	room   int // how many addresses it has at most; -1: no matter
	taken  []netip.Prefix
}

// New starts a fake that has no subnetworks. It ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		subnetworks: map[string]*subnetwork{}, addresses: map[string]*address{}, operations: map[string]*operation{}, requests: map[string]string{},
		calls: map[string]int{}, denied: map[string]bool{}, steps: 1, pageSize: 500, quota: 1000,
		identity: identity{keys: map[string]*rsa.PublicKey{}, tokens: map[string]bool{}, subjects: map[string]bool{}},
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Transport sends the requests to Google's hosts to the fake.
func (s *Server) Transport() http.RoundTripper {
	target, _ := url.Parse(s.URL)
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(request.URL.Host, ".googleapis.com") && request.URL.Host != target.Host {
			return nil, fmt.Errorf("%s is none of Google's hosts", request.URL.Host)
		}
		clone := request.Clone(request.Context())
		clone.Host, clone.URL.Scheme, clone.URL.Host = request.URL.Host, target.Scheme, target.Host
		return http.DefaultTransport.RoundTrip(clone)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// AddSubnetwork makes one, access EXTERNAL or INTERNAL, "" for one of IPv4 alone.
func (s *Server) AddSubnetwork(path, access string, prefix netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subnetworks[path] = &subnetwork{path: path, access: access, prefix: prefix, room: -1}
}

// answer is what a method of the API comes back with: a body, or an apiError.
type answer struct {
	body any
	err  *apiError
}

type apiError struct {
	status  int
	reason  string
	message string
}

func failed(status int, reason, format string, args ...any) answer {
	return answer{err: &apiError{status: status, reason: reason, message: fmt.Sprintf(format, args...)}}
}

// route is a method of the API. Its path has the project, the region and the name as groups.
type route struct {
	name   string // as Google's audit log calls it, without "compute."
	verb   string
	path   *regexp.Regexp
	handle func(*Server, call) answer
}

type call struct {
	project, region, name string
	query                 url.Values
	body                  []byte
	fault                 *Fault
}

func (c call) path(collection string) string {
	return fmt.Sprintf("projects/%s/regions/%s/%s/%s", c.project, c.region, collection, c.name)
}

var routes = func() []route {
	regional := func(rest string) *regexp.Regexp {
		return regexp.MustCompile(`^/compute/v1/projects/([^/]+)/regions/([^/]+)` + rest + `$`)
	}
	return []route{
		{"regions.get", http.MethodGet, regional(`()`), (*Server).getRegion},
		{"subnetworks.get", http.MethodGet, regional(`/subnetworks/([^/]+)`), (*Server).getSubnetwork},
		{"addresses.list", http.MethodGet, regional(`/addresses()`), (*Server).listAddresses},
		{"addresses.insert", http.MethodPost, regional(`/addresses()`), (*Server).insertAddress},
		{"addresses.get", http.MethodGet, regional(`/addresses/([^/]+)`), (*Server).getAddress},
		{"addresses.delete", http.MethodDelete, regional(`/addresses/([^/]+)`), (*Server).deleteAddress},
		{"addresses.setLabels", http.MethodPost, regional(`/addresses/([^/]+)/setLabels`), (*Server).setLabels},
		{"regionOperations.get", http.MethodGet, regional(`/operations/([^/]+)`), (*Server).getOperation},
		{"regionOperations.wait", http.MethodPost, regional(`/operations/([^/]+)/wait`), (*Server).getOperation},
	}
}()

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body := make([]byte, 0, 4096)
	if request.Body != nil {
		var err error
		if body, err = readAll(request.Body); err != nil {
			return
		}
	}
	if s.serveIdentity(w, request, body) {
		return
	}
	at := slices.IndexFunc(routes, func(r route) bool { return r.verb == request.Method && r.path.MatchString(request.URL.Path) })
	if at < 0 {
		write(w, failed(http.StatusNotFound, "notFound", "no method %s %s in this fake", request.Method, request.URL.Path))
		return
	}
	parts := routes[at].path.FindStringSubmatch(request.URL.Path)
	c := call{project: parts[1], region: parts[2], name: parts[3], query: request.URL.Query(), body: body}
	got, fault := s.dispatch(routes[at], c, request)
	switch {
	case fault != nil && fault.Hang:
		<-request.Context().Done()
		panic(http.ErrAbortHandler)
	case fault != nil && (fault.LoseRequest || fault.LoseReply):
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
	write(w, got)
}

func (s *Server) dispatch(r route, c call, request *http.Request) (answer, *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[r.name]++
	s.step()
	token := strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")
	fault := s.fault(r.name)
	c.fault = fault
	switch {
	case fault != nil && (fault.LoseRequest || fault.Hang):
		return answer{}, fault
	case !s.identity.tokens[token]:
		// The service does not repeat tokens; here is what would happen if it did.
		return failed(http.StatusUnauthorized, "authError", "Request had invalid authentication credentials: %s", token), fault
	case s.denied[r.name]:
		return failed(http.StatusForbidden, "forbidden", "Required 'compute.%s' permission for 'projects/%s'", permission(r.name), c.project), fault
	case fault != nil && fault.Status != 0:
		return failed(fault.Status, fault.Reason, "%s", strings.ReplaceAll(fault.Message, "$TOKEN", token)), fault
	}
	return r.handle(s, c), fault
}

// permission that a method needs.
func permission(method string) string {
	return strings.NewReplacer(".insert", ".create", "Operations.wait", "Operations.get").Replace(method)
}

func write(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if a.err == nil {
		_ = json.NewEncoder(w).Encode(a.body)
		return
	}
	if a.err.status/100 == 3 {
		w.Header().Set("Location", a.err.message)
	}
	w.WriteHeader(a.err.status)
	if a.err.reason == "" { // a proxy on the way
		_, _ = fmt.Fprintf(w, "<html><title>%d</title>%s</html>", a.err.status, a.err.message)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": a.err.status, "message": a.err.message,
		"errors": []any{map[string]any{"message": a.err.message, "domain": "global", "reason": a.err.reason}},
	}})
}
