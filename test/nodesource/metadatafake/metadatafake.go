// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package metadatafake imitates, on the wire, the metadata servers of clouds, as far as a node asks them for its prefix. They insist on the
// headers and tokens that the real ones insist on, and misbehave when told to.
package metadatafake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Manner of a server.
type Manner int

// The manners.
const (
	Well Manner = iota
	// Failing answers 500.
	Failing
	// Slow takes a minute.
	Slow
	// Huge answers with two megabytes.
	Huge
	// Garbled answers with a page for people.
	Garbled
	// NeverGivesTokens refuses them, as AWS does when its metadata service is off.
	NeverGivesTokens
)

// Server of a cloud for one node.
type Server struct {
	provider string
	mac      string

	mu       sync.Mutex
	prefixes []netip.Prefix
	manner   Manner
	tokens   map[string]time.Time
	requests []string
	// OnToken is called before a token is sent.
	OnToken func(net.Conn)
}

// New makes a server of a provider (aws, gcp, openstack, hetzner or azure) for a node with that hardware address.
func New(provider, mac string, prefixes ...string) *Server {
	s := &Server{provider: provider, mac: mac, tokens: map[string]time.Time{}}
	s.Set(prefixes...)
	return s
}

// Set the node's prefixes. For OpenStack and Hetzner they are the subnets that the node's address is in: its ::1.
func (s *Server) Set(prefixes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prefixes = nil
	for _, p := range prefixes {
		s.prefixes = append(s.prefixes, netip.MustParsePrefix(p))
	}
}

// Behave from now on.
func (s *Server) Behave(m Manner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manner = m
}

// Forget all tokens, as if they had ended.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = map[string]time.Time{}
}

// Requests that came, with the status of their answers, as in "GET /latest/meta-data/mac 401".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

type connKey struct{}

// Serve on the listener until it is closed.
func (s *Server) Serve(l net.Listener) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	return server.Serve(l)
}

// recorder of the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// ServeHTTP answers as the cloud does.
func (s *Server) ServeHTTP(writer http.ResponseWriter, r *http.Request) {
	w := &recorder{writer, http.StatusOK}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, w.status))
	}()
	s.mu.Lock()
	manner := s.manner
	s.mu.Unlock()
	switch manner {
	case Failing:
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	case Slow:
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
		return
	}
	if r.Header.Get("X-Forwarded-For") != "" {
		http.Error(w, "by way of a proxy", http.StatusForbidden)
		return
	}
	if s.provider == "gcp" {
		w.Header().Set("Metadata-Flavor", "Google")
	}
	text, status := s.answer(r)
	if status == http.StatusOK && r.Method == http.MethodGet {
		switch manner {
		case Huge:
			text = strings.Repeat("2001:db8::/80\n", 150000)
		case Garbled:
			text = "<html><body>Sign in to the hotel's network</body></html>"
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (s *Server) answer(r *http.Request) (string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.provider {
	case "aws":
		return s.aws(r)
	case "gcp":
		return s.gcp(r)
	case "openstack":
		return s.openstack(r)
	case "hetzner":
		return s.hetzner(r)
	case "azure":
		return s.azure(r)
	}
	return "no such provider", http.StatusNotFound
}

// aws speaks IMDSv2 only, as an instance with HttpTokens: required.
func (s *Server) aws(r *http.Request) (string, int) {
	const ttl, token = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "X-Aws-Ec2-Metadata-Token"
	if r.URL.Path == "/latest/api/token" {
		lifetime, err := time.ParseDuration(r.Header.Get(ttl) + "s")
		switch {
		case s.manner == NeverGivesTokens:
			return "", http.StatusForbidden
		case r.Method != http.MethodPut:
			return "", http.StatusMethodNotAllowed
		case err != nil || lifetime < time.Second || lifetime > 6*time.Hour:
			return "", http.StatusBadRequest
		}
		if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok && s.OnToken != nil {
			s.OnToken(conn)
		}
		fresh := fmt.Sprintf("AQAEA%d==", len(s.requests))
		s.tokens[fresh] = time.Now().Add(lifetime)
		return fresh, http.StatusOK
	}
	if until, ok := s.tokens[r.Header.Get(token)]; !ok || time.Now().After(until) {
		return "", http.StatusUnauthorized
	}
	const macs = "/latest/meta-data/network/interfaces/macs/"
	switch r.URL.Path {
	case macs:
		return s.mac + "/", http.StatusOK
	case macs + s.mac + "/ipv6-prefix":
		if len(s.prefixes) > 0 {
			return s.list(), http.StatusOK
		}
	}
	return "", http.StatusNotFound
}

func (s *Server) list() string {
	var lines []string
	for _, p := range s.prefixes {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

func (s *Server) gcp(r *http.Request) (string, int) {
	if r.Header.Get("Metadata-Flavor") != "Google" {
		return "", http.StatusForbidden
	}
	if r.URL.Path != "/computeMetadata/v1/instance/network-interfaces/" || r.URL.Query().Get("recursive") != "true" {
		return "", http.StatusNotFound
	}
	type network struct {
		MAC   string   `json:"mac"`
		IPv4  string   `json:"ip"`
		IPv6  []string `json:"ipv6,omitempty"`
		IPv6s []string `json:"ipv6s,omitempty"`
	}
	n := network{MAC: s.mac, IPv4: "10.128.0.2"}
	for _, p := range s.prefixes {
		n.IPv6, n.IPv6s = append(n.IPv6, p.String()), append(n.IPv6s, p.Addr().String())
	}
	return encode([]network{n}), http.StatusOK
}

func (s *Server) openstack(r *http.Request) (string, int) {
	if r.URL.Path != "/openstack/latest/network_data.json" {
		return "", http.StatusNotFound
	}
	var networks []map[string]string
	for i, p := range s.prefixes {
		mask := strings.ToLower(net.IP(net.CIDRMask(p.Bits(), 128)).String())
		networks = append(networks, map[string]string{
			"id": fmt.Sprintf("network%d", i), "type": "ipv6_slaac", "link": "tap0", "ip_address": p.Addr().Next().String(), "netmask": mask,
		})
	}
	return encode(map[string]any{
		"links":    []map[string]string{{"id": "tap0", "ethernet_mac_address": s.mac, "type": "ovs"}},
		"networks": networks, "services": []string{},
	}), http.StatusOK
}

func (s *Server) hetzner(r *http.Request) (string, int) {
	if r.URL.Path != "/hetzner/v1/metadata/network-config" {
		return "", http.StatusNotFound
	}
	var b strings.Builder
	fmt.Fprintf(&b, "config:\n- mac_address: %s\n  name: eth0\n  subnets:\n  - ipv4: true\n    type: dhcp\n", s.mac)
	for _, p := range s.prefixes {
		fmt.Fprintf(&b, "  - address: %s/%d\n    gateway: fe80::1\n    ipv6: true\n    type: static\n", p.Addr().Next(), p.Bits())
	}
	b.WriteString("  type: physical\nversion: 1\n")
	return b.String(), http.StatusOK
}

func (s *Server) azure(r *http.Request) (string, int) {
	if r.Header.Get("Metadata") != "true" || r.URL.Query().Get("api-version") == "" {
		return `{"error":"Bad request. Required metadata header or api-version not specified"}`, http.StatusBadRequest
	}
	if r.URL.Path != "/metadata/instance/network/interface" {
		return "", http.StatusNotFound
	}
	var addresses []map[string]string
	for _, p := range s.prefixes {
		addresses = append(addresses, map[string]string{"privateIpAddress": p.String()})
	}
	return encode([]any{map[string]any{
		"macAddress": strings.ToUpper(strings.ReplaceAll(s.mac, ":", "")), "ipv6": map[string]any{"ipAddress": addresses},
	}}), http.StatusOK
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
