// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// ipv6-cni is the CNI plugin that container runtimes call. It asks the node's agent over a Unix socket, hands it the pod's network
// namespace as an open file, and prints what became of it; it knows nothing itself.
//
// A DEL succeeds when the agent is away: the runtime removes the namespace, the wire goes with it, and an agent that starts or looks
// around frees the addresses whose wire is gone. So nothing leaks, and no pod hangs in its deletion for want of an agent.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/cnirpc"
)

// timeout is below the four minutes after which kubelet gives a sandbox up, and above what a busy node needs.
const timeout = 60 * time.Second

// config is the plugin's part of the network's list.
type config struct {
	types.PluginConf
	// Socket of the agent.
	Socket string `json:"socket"`
}

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check, GC: gc, Status: status},
		version.VersionsStartingFrom("0.4.0"), "ipv6-cni: thin client of ipv6-agent")
}

func load(stdin []byte) (*config, error) {
	c := &config{Socket: agentconfig.Socket}
	if err := json.Unmarshal(stdin, c); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "the network's configuration is not understood", err.Error())
	}
	return c, nil
}

func add(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil {
		return err
	}
	netns, err := os.Open(args.Netns)
	if err != nil {
		return types.NewError(types.ErrInvalidNetNS, "the pod's network namespace cannot be opened", err.Error())
	}
	defer netns.Close() //nolint:errcheck // nothing was written
	r, err := ask(c, request(cnirpc.Add, c, args), netns)
	if err != nil {
		return err
	}
	return types.PrintResult(result(r, args), c.CNIVersion)
}

func del(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil {
		return err
	}
	_, err = call(c, request(cnirpc.Del, c, args), nil)
	if errors.Is(err, cnirpc.ErrNoAgent) {
		return nil
	}
	return toCNI(err)
}

func check(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil {
		return err
	}
	req := request(cnirpc.Check, c, args)
	if req.Addrs, err = previous(c, args); err != nil {
		return err
	}
	netns, err := os.Open(args.Netns)
	if errors.Is(err, fs.ErrNotExist) {
		return types.NewError(uint(cnirpc.CodeCheckFailed), "the pod's network namespace is gone", args.Netns)
	}
	if err != nil {
		return types.NewError(types.ErrInvalidNetNS, "the pod's network namespace cannot be opened", err.Error())
	}
	defer netns.Close() //nolint:errcheck // nothing was written
	_, err = ask(c, req, netns)
	return err
}

func gc(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil {
		return err
	}
	req := cnirpc.Request{Command: cnirpc.GC, Network: c.Name}
	if req.Valid, err = validAttachments(args.StdinData); err != nil {
		return err
	}
	_, err = ask(c, req, nil)
	return err
}

// validAttachments are those to keep: none if there is no list, which is how the CNI library says it. A runtime that uses the list's
// other name must not be understood that way, or every pod of the node would lose its network.
func validAttachments(stdin []byte) ([]cnirpc.Attachment, error) {
	var keys struct {
		Valid json.RawMessage `json:"cni.dev/valid-attachments"`
		// Other is the name in the first print of the specification's version 1.1.
		Other json.RawMessage `json:"cni.dev/attachments"`
	}
	if err := json.Unmarshal(stdin, &keys); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "the network's configuration is not understood", err.Error())
	}
	list := keys.Valid
	if list == nil {
		list = keys.Other
	}
	if list == nil {
		return nil, nil
	}
	var valid []types.GCAttachment
	if err := json.Unmarshal(list, &valid); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "the valid attachments are not understood", err.Error())
	}
	out := make([]cnirpc.Attachment, 0, len(valid))
	for _, a := range valid {
		out = append(out, cnirpc.Attachment{ContainerID: a.ContainerID, Interface: a.IfName})
	}
	return out, nil
}

func status(args *skel.CmdArgs) error {
	c, err := load(args.StdinData)
	if err != nil {
		return err
	}
	_, err = call(c, cnirpc.Request{Command: cnirpc.Status, Network: c.Name}, nil)
	var answered *cnirpc.Error
	if err != nil && !errors.As(err, &answered) {
		return types.NewError(uint(cnirpc.CodeNotAvailable), "ipv6-agent does not answer", err.Error())
	}
	return toCNI(err)
}

func request(cmd cnirpc.Command, c *config, args *skel.CmdArgs) cnirpc.Request {
	return cnirpc.Request{
		Command: cmd, Network: c.Name, Pod: pod(args.Args),
		Attachment: cnirpc.Attachment{ContainerID: args.ContainerID, Interface: args.IfName},
	}
}

// pod finds the pod's name in what Kubernetes' runtimes pass as CNI_ARGS.
func pod(args string) string {
	values := map[string]string{}
	for _, pair := range strings.Split(args, ";") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			values[k] = v
		}
	}
	if values["K8S_POD_NAME"] == "" {
		return ""
	}
	return values["K8S_POD_NAMESPACE"] + "/" + values["K8S_POD_NAME"]
}

// ask is call with the runtime's error codes.
func ask(c *config, req cnirpc.Request, netns *os.File) (*cnirpc.Result, error) {
	r, err := call(c, req, netns)
	return r, toCNI(err)
}

func call(c *config, req cnirpc.Request, netns *os.File) (*cnirpc.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return cnirpc.Call(ctx, c.Socket, req, netns)
}

func toCNI(err error) error {
	var answered *cnirpc.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answered):
		return types.NewError(uint(answered.Code), answered.Msg, answered.Details)
	default:
		return types.NewError(types.ErrTryAgainLater, "ipv6-agent does not answer", err.Error())
	}
}

// previous returns the addresses that the runtime was told of, if it says so.
func previous(c *config, args *skel.CmdArgs) ([]netip.Addr, error) {
	if err := version.ParsePrevResult(&c.PluginConf); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "prevResult is not understood", err.Error())
	}
	if c.PrevResult == nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "CHECK needs prevResult", "")
	}
	r, err := types100.NewResultFromResult(c.PrevResult)
	if err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "prevResult is not understood", err.Error())
	}
	var out []netip.Addr
	for _, ip := range r.IPs {
		if i := ip.Interface; i == nil || *i < 0 || *i >= len(r.Interfaces) || r.Interfaces[*i].Name != args.IfName {
			continue
		}
		a, ok := netip.AddrFromSlice(ip.Address.IP)
		if !ok {
			return nil, types.NewError(types.ErrDecodingFailure, "prevResult is not understood", fmt.Sprintf("address %s", ip.Address.IP))
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}
