// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"os"
	"path/filepath"
)

// TLS is what a client or a server needs for TLS, PEM-encoded.
type TLS struct {
	CA, Cert, Key []byte
}

// URL is where clients find etcd, pods of the seed among them.
func (e *Etcd) URL() string { return e.url }

// Client is what a client of etcd needs.
func (e *Etcd) Client() (TLS, error) {
	var t TLS
	for file, into := range map[string]*[]byte{"ca.crt": &t.CA, "client.crt": &t.Cert, "client.key": &t.Key} {
		text, err := os.ReadFile(e.ca.path(file))
		if err != nil {
			return TLS{}, fmt.Errorf("etcd's client: %w", err)
		}
		*into = text
	}
	return t, nil
}

// Kubelet is the identity of a kubelet whose API server this package did not start.
type Kubelet struct {
	// Kubeconfig of kubelet, without references to files.
	Kubeconfig []byte
	// Serving is kubelet's own certificate, and the authority of those that may call it.
	Serving TLS
}

// files are the files that kubelet reads.
func (k *Kubelet) files(dir string) []File {
	return []File{
		{Path: filepath.Join(dir, "kubelet.kubeconfig"), Content: k.Kubeconfig},
		{Path: filepath.Join(dir, "kubelet-ca.crt"), Content: k.Serving.CA},
		{Path: filepath.Join(dir, "kubelet.crt"), Content: k.Serving.Cert},
		{Path: filepath.Join(dir, "kubelet.key"), Content: k.Serving.Key},
	}
}
