// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
)

// EtcdProcess is the name of etcd's process.
const EtcdProcess = "etcd"

const etcdPort = 2379

// Etcd is the one store of all API servers of a landscape; each has a prefix of its own.
type Etcd struct {
	host *Host
	url  string
	ca   *authority
}

// StartEtcd starts etcd on a host, listening at one of its addresses, for clients with a certificate.
func (l *Landscape) StartEtcd(ctx context.Context, host *Host, address netip.Addr) (*Etcd, error) {
	dir := filepath.Join(host.Dir(), "etcd-pki")
	ca, err := openAuthority(dir, "ca")
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	e := &Etcd{host: host, url: "https://" + netip.AddrPortFrom(address, etcdPort).String(), ca: ca}
	if err := ca.issue("server", server("etcd", []string{address.String(), "::1", "localhost"})); err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if err := ca.issue("client", client("etcd-client", nil)); err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	const peer = "http://[::1]:2380"
	err = host.Start(ctx, Process{Name: EtcdProcess, Command: []string{"etcd",
		"--data-dir=" + filepath.Join(host.Dir(), "etcd"), "--log-level=warn",
		"--listen-client-urls=" + e.url, "--advertise-client-urls=" + e.url,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
		"--cert-file=" + ca.path("server.crt"), "--key-file=" + ca.path("server.key"),
		"--trusted-ca-file=" + ca.path("ca.crt"), "--client-cert-auth=true",
		// the landscape's objects need not outlive a power cut of the machine
		"--unsafe-no-fsync=true",
	}})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Flags are what kube-apiserver and gardener-apiserver need to keep their objects under a prefix.
func (e *Etcd) Flags(prefix string) []string {
	ca, cert, key := e.ClientFiles()
	return []string{"--etcd-servers=" + e.url, "--etcd-prefix=" + prefix, "--etcd-cafile=" + ca, "--etcd-certfile=" + cert, "--etcd-keyfile=" + key}
}

// URL is where clients find it.
func (e *Etcd) URL() string { return e.url }

// ClientFiles are the certificate of etcd's authority and a client's certificate and key.
func (e *Etcd) ClientFiles() (ca, cert, key string) {
	return e.ca.path("ca.crt"), e.ca.path("client.crt"), e.ca.path("client.key")
}

// get is nil if the URL answers 200.
func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
