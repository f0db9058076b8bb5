// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command landscape-enter starts programs inside of a landscape's hosts. It is to the landscape what nsenter(1),
// unshare(1) and tini(1) would be, with what those lack: it joins control groups, writes a PID file that survives the
// reuse of process numbers, and passes signals on.
//
//	run     [where] -- PROGRAM...                       in the foreground
//	spawn   [where] --pidfile F --log F -- PROGRAM...   in the background
//	boot    [where] --pidfile F --log F ...             a node's first process, in new namespaces
//	init    ...                                         that first process
//	forward --listen A --net PATH --to A                TCP from the machine into a network namespace
//
// where is --cgroup GROUP and --net PATH (a network namespace) or --node PID (all namespaces of a node's first process).
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

func main() {
	// namespaces belong to threads: everything that enters one happens on this one, and children are started from it
	runtime.LockOSThread()
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: landscape-enter run|spawn|boot|init|forward [flags] [-- program...]")
		os.Exit(2)
	}
	verbs := map[string]func([]string) error{"run": run, "spawn": spawn, "boot": boot, "init": initNode, "bound": bound, "forward": forward}
	verb, known := verbs[os.Args[1]]
	if !known {
		fmt.Fprintf(os.Stderr, "landscape-enter: unknown verb %q\n", os.Args[1])
		os.Exit(2)
	}
	err := verb(os.Args[2:])
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exitCode(exit))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "landscape-enter %s: %v\n", os.Args[1], err)
		os.Exit(125)
	}
}

// options are the flags of all verbs.
type options struct {
	cgroup, net  string
	node         int
	pidfile, log string

	hostname, root, system, ready string

	listen, to string

	program []string
}

func parse(verb string, args []string) (options, error) {
	var o options
	f := flag.NewFlagSet(verb, flag.ContinueOnError)
	f.StringVar(&o.cgroup, "cgroup", "", "control group to join")
	f.StringVar(&o.net, "net", "", "network namespace to enter")
	f.IntVar(&o.node, "node", 0, "process whose namespaces to enter")
	f.StringVar(&o.pidfile, "pidfile", "", "file for the number and the start time of the process")
	f.StringVar(&o.log, "log", "", "file for its output")
	f.StringVar(&o.hostname, "hostname", "", "name of the node")
	f.StringVar(&o.root, "root", "", "directory for the node's own files")
	f.StringVar(&o.system, "system", "", "control group of the node's daemons, below the node's")
	f.StringVar(&o.ready, "ready", "", "file to write once the node is set up")
	f.StringVar(&o.listen, "listen", "", "address to listen at")
	f.StringVar(&o.to, "to", "", "address to forward to")
	err := f.Parse(args)
	o.program = f.Args()
	return o, err
}
