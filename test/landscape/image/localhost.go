// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// localhost gives the certificate and the key that agnhost's porter serves with. Nobody verifies them. They are made once and kept
// beside the archives, so that the image stays the same.
func localhost(dir string) (Layer, error) {
	crt, key := filepath.Join(dir, "localhost.crt"), filepath.Join(dir, "localhost.key")
	layer := Layer{{Path: "/localhost.crt", Mode: 0o644, Source: crt}, {Path: "/localhost.key", Mode: 0o644, Source: key}}
	if _, err := os.Stat(crt); err == nil {
		return layer, nil
	}
	if err := writeLocalhost(dir, crt, key); err != nil {
		return nil, fmt.Errorf("certificate for agnhost: %w", err)
	}
	return layer, nil
}

func writeLocalhost(dir, crt, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: born, NotAfter: born.Add(20 * 365 * 24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	// the certificate last: it tells that both are there
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(crt, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600)
}
