//go:build e2e

// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

// pinger sends an echo request every 10 ms from a pod, and notes each answer.
type pinger struct {
	way string
	cmd *exec.Cmd

	mu       sync.Mutex
	answered map[int]bool
	last     int
	done     chan error
}

var sequence = regexp.MustCompile(`icmp_seq=(\d+) ttl=`)

// startPinger pings until it is stopped. The sequence number has 16 bits, so that 655 seconds are the limit.
func (s *shoot) startPinger(t *testing.T, from *corev1.Pod, name, address string) *pinger {
	t.Helper()

	p := &pinger{
		way:      fmt.Sprintf("from the pod on %s to %s", from.Spec.NodeName, name),
		cmd:      s.inPod(t, from, "ping", "-6", "-n", "-i", "0.01", address),
		answered: map[int]bool{},
		done:     make(chan error, 1),
	}

	// it is not killed when the test ends, or the program on the node would outlive the one that started it
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGINT) }

	out, err := p.cmd.StdoutPipe()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(p.cmd.Start()).To(Succeed())

	go func() {
		p.read(out)
		p.done <- p.cmd.Wait()
	}()

	return p
}

func (p *pinger) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if match := sequence.FindStringSubmatch(lines.Text()); match != nil {
			number, _ := strconv.Atoi(match[1])

			p.mu.Lock()
			p.answered[number] = true
			p.last = max(p.last, number)
			p.mu.Unlock()
		}
	}
}

func (p *pinger) sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.last
}

// missing are the requests before the last answered one that have no answer.
func (p *pinger) missing() []int {
	p.mu.Lock()
	defer p.mu.Unlock()

	var missing []int

	for number := 1; number <= p.last; number++ {
		if !p.answered[number] {
			missing = append(missing, number)
		}
	}

	return missing
}

// expectNoLoss runs what is to be survived while the pods ping: each a pod on the next node, and one of them the host outside.
func (s *shoot) expectNoLoss(t *testing.T, during func()) {
	t.Helper()

	pods := s.web(t)
	pingers := []*pinger{s.startPinger(t, &pods[0], "the host outside", s.OutsideAddress().String())}

	for i := range pods {
		next := &pods[(i+1)%len(pods)]
		pingers = append(pingers, s.startPinger(t, &pods[i], "the pod on "+next.Spec.NodeName, next.Status.PodIP))
	}

	more := func(count int) {
		start := make([]int, len(pingers))
		for i, p := range pingers {
			start[i] = p.sent()
		}

		eventually(t, 30*time.Second, "pings to be answered", func(g Gomega) {
			for i, p := range pingers {
				g.Expect(p.sent()).To(BeNumerically(">=", start[i]+count), "requests answered %s", p.way)
			}
		})
	}

	more(100)

	begin := time.Now()

	during()
	t.Logf("it took %s", time.Since(begin).Round(100*time.Millisecond))
	more(100)

	for _, p := range pingers {
		NewWithT(t).Expect(p.cmd.Process.Signal(syscall.SIGINT)).To(Succeed())
		<-p.done
		t.Logf("%s: %d echo requests, %d lost", p.way, p.sent(), len(p.missing()))
		NewWithT(t).Expect(p.missing()).To(BeEmpty(), "%s: requests lost, of %d", p.way, p.sent())
	}
}
