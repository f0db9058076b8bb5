// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestPIDFileTellsAProcessFromALaterOneOfTheSameNumber(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "x.pid")
	_, alive := readPIDFile(file)
	g.Expect(alive).To(BeFalse(), "no file")

	start, _, err := processStat(os.Getpid())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(file, fmt.Appendf(nil, "%d %s\n", os.Getpid(), start), 0o600)).To(Succeed())
	pid, alive := readPIDFile(file)
	g.Expect(pid).To(Equal(os.Getpid()))
	g.Expect(alive).To(BeTrue())

	g.Expect(os.WriteFile(file, fmt.Appendf(nil, "%d %s0\n", os.Getpid(), start), 0o600)).To(Succeed())
	_, alive = readPIDFile(file)
	g.Expect(alive).To(BeFalse(), "the number is alive, but it started at another time")

	g.Expect(os.WriteFile(file, nil, 0o600)).To(Succeed())
	_, alive = readPIDFile(file)
	g.Expect(alive).To(BeFalse(), "a crash may leave an empty file")
}

func TestPIDFileOfAZombieIsThatOfADeadProcess(t *testing.T) {
	g := NewWithT(t)
	cmd := exec.Command("sleep", "300")
	g.Expect(cmd.Start()).To(Succeed())
	start, _, err := processStat(cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(t.TempDir(), "x.pid")
	g.Expect(os.WriteFile(file, fmt.Appendf(nil, "%d %s\n", cmd.Process.Pid, start), 0o600)).To(Succeed())
	g.Expect(cmd.Process.Kill()).To(Succeed())
	g.Eventually(func() bool { _, alive := readPIDFile(file); return alive }).WithTimeout(10 * time.Second).Should(BeFalse())
	_, _ = cmd.Process.Wait()
}

func TestProcessStampFollowsItsFiles(t *testing.T) {
	g := NewWithT(t)
	p := Process{Name: "x", Command: []string{"x", "-c", "/x.yaml"}, Files: []File{{Path: "/x.yaml", Content: []byte("a: 1\n")}}}
	before := p.stamp()
	g.Expect(p.stamp()).To(Equal(before))
	p.Files[0].Content = []byte("a: 2\n")
	g.Expect(p.stamp()).NotTo(Equal(before))
}

func TestCertificatesAreIssuedOnceAndAgainWhenNamesChange(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	ca, err := openAuthority(dir, "ca")
	g.Expect(err).NotTo(HaveOccurred())
	serial := func() string {
		cert, _, err := readPair(ca.path("apiserver.crt"), ca.path("apiserver.key"))
		g.Expect(err).NotTo(HaveOccurred())
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "kubernetes"})
		g.Expect(err).NotTo(HaveOccurred())
		return cert.SerialNumber.String()
	}
	g.Expect(ca.issue("apiserver", server("kube-apiserver", []string{"kubernetes", "fd00::1"}))).To(Succeed())
	first := serial()
	g.Expect(ca.issue("apiserver", server("kube-apiserver", []string{"kubernetes", "fd00::1"}))).To(Succeed())
	g.Expect(serial()).To(Equal(first))
	g.Expect(ca.issue("apiserver", server("kube-apiserver", []string{"kubernetes", "fd00::2"}))).To(Succeed())
	second := serial()
	g.Expect(second).NotTo(Equal(first))

	// an authority that was opened again signs for the same clients
	again, err := openAuthority(dir, "ca")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again.issue("apiserver", server("kube-apiserver", []string{"kubernetes", "fd00::2"}))).To(Succeed())
	g.Expect(serial()).To(Equal(second))
}

func TestNames(t *testing.T) {
	g := NewWithT(t)
	for name, valid := range map[string]bool{"gx6": true, "a": true, "": false, "Gx6": false, "gx6-x": false, "toolongname": false, "6gx": false} {
		_, err := New(name, "/state", "/bin", nil)
		g.Expect(err == nil).To(Equal(valid), name)
	}
	_, err := New("gx6", "relative", "/bin", nil)
	g.Expect(err).To(MatchError(`landscape gx6: directories "relative" and "/bin" must be absolute`))
}

func TestLeasesOfKea(t *testing.T) {
	g := NewWithT(t)
	const line = "2001:db8:8000:5::,00:03:00:01:02:00:5e:10:00:01,4000,1795260000,1,3000,2,1499466334,64,0,0,,,0,,,0"
	prefix, mac, lasting, err := parseLease(line)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(prefix.String()).To(Equal("2001:db8:8000:5::/64"))
	g.Expect(mac).To(Equal("02:00:5e:10:00:01"))
	g.Expect(lasting).To(BeTrue())
	_, _, lasting, err = parseLease(strings.Replace(line, ",4000,", ",0,", 1))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lasting).To(BeFalse(), "given back")
	_, _, _, err = parseLease("2001:db8::,")
	g.Expect(err).To(MatchError("too few columns"))
}

func TestAnAutoconfiguredAddress(t *testing.T) {
	g := NewWithT(t)
	l, err := New("gx6", "/state", "/bin", nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(l.Host("n1").MAC().String()).To(Equal("02:09:9f:06:ad:fa"))
	g.Expect(l.Autoconfigured(netip.MustParsePrefix("2001:db8:1::/64"), "n1").String()).To(Equal("2001:db8:1:0:9:9fff:fe06:adfa/64"))
}

func TestKubeletIsToldOneAddressAFamily(t *testing.T) {
	g := NewWithT(t)
	prefixes := func(texts ...string) (ps []netip.Prefix) {
		for _, text := range texts {
			ps = append(ps, netip.MustParsePrefix(text))
		}
		return ps
	}
	g.Expect(nodeIPs(prefixes("2001:db8::1/64"))).To(Equal("2001:db8::1"))
	g.Expect(nodeIPs(prefixes("2001:db8::1/64", "2001:db8:2::1/64"))).To(Equal("2001:db8::1"))
	g.Expect(nodeIPs(prefixes("10.0.0.1/24", "10.1.0.1/24", "2001:db8:2::1/64"))).To(Equal("10.0.0.1,2001:db8:2::1"))
}
