// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// plugin is one that is measured, on a node of its own.
type plugin struct {
	name, bin string
	node      *space
	conf      map[string]any
	// dad is the pod's sysctl accept_dad.
	dad string
	// every: it takes part in each round of that number only.
	every         int
	alone, atOnce times
	// process is the daemon that answers the plugin, if there is one, and memory its largest while most pods were there.
	process int
	memory  memory
}

// times are what calls of a plugin took.
type times struct {
	add, del series
	// allAdd and allDel are how long it took until the last of a batch was done.
	allAdd, allDel series
}

func ours(node *space, dir string) *plugin {
	return &plugin{name: "ipv6-cni", bin: "ipv6-cni", node: node, every: 1, dad: "1",
		conf: map[string]any{"cniVersion": "1.1.0", "type": "ipv6-cni", "socket": filepath.Join(dir, "cni.sock")}}
}

// limit is a plugin that is there to be compared with.
func limit(name, bin string, node *space) *plugin {
	return &plugin{name: name, bin: bin, node: node, every: 1, dad: "1", conf: map[string]any{"cniVersion": "1.0.0", "type": bin}}
}

// ptp wires a pod by a veth pair and a route as ipv6-cni does, and waits until the pod's addresses were checked for duplicates.
func ptp(name string, node *space, dir, dad string, every int) *plugin {
	return &plugin{name: name, bin: "ptp", node: node, every: every, dad: dad, conf: map[string]any{
		"cniVersion": "1.0.0", "type": "ptp", "ipMasq": false,
		"ipam": map[string]any{
			"type": "host-local", "dataDir": filepath.Join(dir, "host-local-"+dad), "routes": []map[string]string{{"dst": "::/0"}},
			"ranges": [][]map[string]string{{{"subnet": "fd00:20::d000:0/100"}}},
		},
	}}
}

// call calls the plugin as a runtime does, in the node's namespace, and says how long the process lived.
func (p *plugin) call(ctx context.Context, dir, command, id string, pod *space) (took time.Duration, err error) {
	conf := maps.Clone(p.conf)
	conf["name"] = "bench"
	bin := filepath.Join(dir, "bin")
	cmd := exec.CommandContext(ctx, filepath.Join(bin, p.bin))
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_PATH="+bin)
	if pod != nil {
		cmd.Env = append(cmd.Env, "CNI_CONTAINERID="+id, "CNI_IFNAME=eth0", "CNI_NETNS="+pod.path)
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(mustJSON(conf)), &out, &errs
	err = p.node.within(func() error {
		begin := time.Now()
		err := cmd.Run()
		took = time.Since(begin)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s of %s: %w: %s%s", command, p.name, err, out.String(), errs.String())
	}
	if command == "ADD" {
		var result struct{ IPs []struct{ Address string } }
		if err := json.Unmarshal(out.Bytes(), &result); err != nil || len(result.IPs) != 1 {
			return 0, fmt.Errorf("ADD of %s answered %q, which is not one address: %w", p.name, out.String(), err)
		}
	}
	return took, nil
}

var serial atomic.Int64

// batch adds all the pods at once, then deletes them at once.
func (p *plugin) batch(ctx context.Context, dir string, pods spaces, t *times) error {
	ids := make([]string, len(pods))
	for i, pod := range pods {
		ids[i] = fmt.Sprintf("bench-%d", serial.Add(1))
		if err := pod.setDAD(p.dad); err != nil {
			return err
		}
	}
	all := func(command string, each, whole *series) error {
		took, errs := make(series, len(pods)), make([]error, len(pods))
		var group sync.WaitGroup
		begin := time.Now()
		for i, pod := range pods {
			group.Go(func() { took[i], errs[i] = p.call(ctx, dir, command, ids[i], pod) })
		}
		group.Wait()
		*whole = append(*whole, time.Since(begin))
		*each = append(*each, took...)
		return errors.Join(errs...)
	}
	if err := all("ADD", &t.add, &t.allAdd); err != nil {
		return err
	}
	if err := p.weigh(len(pods)); err != nil {
		return err
	}
	return all("DEL", &t.del, &t.allDel)
}
