// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// pod is a namespace that the plugin is called for.
type pod struct {
	*space
	node *node
	id   string
	// result is what ADD said.
	result []byte
}

func (n *node) newPod(t testing.TB, id string) *pod {
	t.Helper()
	return &pod{space: newSpace(t, id), node: n, id: id}
}

// cni calls the plugin, in the node's namespace as the runtime does. extra is merged into the network's configuration.
func (n *node) cni(command, id, netnsPath string, extra map[string]any) ([]byte, error) {
	conf := map[string]any{"cniVersion": "1.1.0", "name": "ipv6", "type": "ipv6-cni", "socket": n.file.path("cni.sock")}
	for k, v := range extra {
		conf[k] = v
	}
	stdin, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(n.file.path("bin") + "/ipv6-cni") //nolint:gosec // the plugin under test
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_PATH="+n.file.path("bin"))
	if id != "" {
		cmd.Env = append(cmd.Env, "CNI_CONTAINERID="+id, "CNI_IFNAME=eth0", "CNI_NETNS="+netnsPath,
			"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME="+id)
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	err = n.within(cmd.Run)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		said := &types.Error{}
		if json.Unmarshal(out.Bytes(), said) == nil {
			return nil, said
		}
		return nil, fmt.Errorf("%s: %w: %s%s", command, err, out.String(), errs.String())
	}
	return out.Bytes(), err
}

func (p *pod) try(command string) (err error) {
	extra := map[string]any{}
	if command == "CHECK" {
		var prev any
		if err := json.Unmarshal(p.result, &prev); err != nil {
			return err
		}
		extra["prevResult"] = prev
	}
	out, err := p.node.cni(command, p.id, p.path, extra)
	if err == nil && command == "ADD" {
		p.result = out
	}
	return err
}

// add calls ADD, which must succeed.
func (p *pod) add(t testing.TB) *pod {
	t.Helper()
	if err := p.try("ADD"); err != nil {
		t.Fatalf("ADD %s: %v", p.id, err)
	}
	return p
}

// addrs are what ADD gave.
func (p *pod) addrs(t testing.TB) []netip.Addr {
	t.Helper()
	var r types100.Result
	if err := json.Unmarshal(p.result, &r); err != nil {
		t.Fatalf("result of %s: %v", p.id, err)
	}
	var out []netip.Addr
	for _, ip := range r.IPs {
		a, _ := netip.AddrFromSlice(ip.Address.IP)
		out = append(out, a.Unmap())
	}
	return out
}

func (p *pod) addr(t testing.TB) netip.Addr {
	t.Helper()
	return p.addrs(t)[0]
}

// code is the CNI code of an error; 0 if it has none.
func code(err error) uint {
	var e *types.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// lines are the lines of a text without blanks around and between them that vary.
func lines(s string) []string {
	var out []string
	for _, l := range strings.Split(s, "\n") {
		if l = strings.Join(strings.Fields(l), " "); l != "" {
			out = append(out, l)
		}
	}
	return out
}
