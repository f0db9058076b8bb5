// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// authority is a certificate authority in a directory: NAME.crt and NAME.key. Certificates live as long as the landscape.
type authority struct {
	dir  string
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

const validity = 365 * 24 * time.Hour

// openAuthority reads an authority, or makes it if it isn't there.
func openAuthority(dir, name string) (*authority, error) {
	a := &authority{dir: dir, name: name}
	if !exists(a.path(name + ".crt")) {
		if err := a.found(); err != nil {
			return nil, fmt.Errorf("certificate authority %s: %w", name, err)
		}
	}
	var err error
	if a.cert, a.key, err = readPair(a.path(name+".crt"), a.path(name+".key")); err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", name, err)
	}
	return a, nil
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }

func (a *authority) found() error {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: a.name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	return writePair(a.dir, a.name, template, nil)
}

// issue writes NAME.crt and NAME.key, signed by the authority, unless a certificate with the same subject and names is there.
func (a *authority) issue(name string, template x509.Certificate) error {
	if have, _, err := readPair(a.path(name+".crt"), a.path(name+".key")); err == nil &&
		have.CheckSignatureFrom(a.cert) == nil && sameNames(have, &template) {
		return nil
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	if err := writePair(a.dir, name, &template, a); err != nil {
		return fmt.Errorf("certificate %s: %w", name, err)
	}
	return nil
}

// server is the template of a serving certificate for names and addresses.
func server(commonName string, names []string) x509.Certificate {
	t := x509.Certificate{Subject: pkix.Name{CommonName: commonName}}
	for _, n := range names {
		if ip, err := netip.ParseAddr(n); err == nil {
			t.IPAddresses = append(t.IPAddresses, net.IP(ip.AsSlice()))
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	return t
}

// client is the template of a certificate of a Kubernetes user.
func client(user string, groups []string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: user, Organization: groups}}
}

func sameNames(a, b *x509.Certificate) bool {
	text := func(c *x509.Certificate) string {
		ips := make([]string, 0, len(c.IPAddresses))
		for _, ip := range c.IPAddresses {
			ips = append(ips, ip.String())
		}
		return strings.Join([]string{c.Subject.String(), strings.Join(c.DNSNames, ","), strings.Join(ips, ",")}, "|")
	}
	return text(a) == text(b)
}

func writePair(dir, name string, template *x509.Certificate, parent *authority) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(validity)
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	// the key first: a certificate without its key would look complete after a crash
	if err := writePEM(filepath.Join(dir, name+".key"), "EC PRIVATE KEY", secret); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", der)
}

func writePEM(path, kind string, der []byte) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func readPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certDER, err := readPEM(certFile)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := readPEM(keyFile)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s does not belong to %s", keyFile, certFile)
	}
	return cert, key, nil
}

func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- our own directory
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New(path + " holds no PEM block")
	}
	return block.Bytes, nil
}
