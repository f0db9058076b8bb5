// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
