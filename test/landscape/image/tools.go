// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// applets that the tools layer takes from elsewhere than busybox: its shell runs its own applets whatever PATH says, its
// nc lacks -v, -u and -t, and its wget crashes when it is linked statically.
var notFromBusybox = []string{"ip", "ss", "nc", "wget", "busybox", "bash", "sh", "ash"}

// tools is a layer of the machine's own programs that upstream's end-to-end tests call inside of pods.
func tools() (Layer, error) {
	layer := Layer{
		{Path: "/etc/passwd", Mode: 0o644, Content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n" +
			"user-defined-in-image:x:1000:1000::/home:/bin/sh\n"},
		{Path: "/etc/group", Mode: 0o644, Content: "root:x:0:\nnobody:x:65534:\nuser-defined-in-image:x:1000:\n" +
			"group-defined-in-image:x:50000:user-defined-in-image\n"},
		{Path: "/etc/nsswitch.conf", Mode: 0o644, Content: "passwd: files\ngroup: files\nhosts: files dns\n"},
		{Path: "/tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
		{Path: "/bin/sh", Link: "dash"},
		{Path: "/usr/bin/nc", Link: "nc.openbsd"},
		{Path: "/usr/local/bin/iperf", Link: "/usr/bin/iperf"},
	}
	for _, dir := range []string{"/root", "/home", "/var", "/uploads", "/dev", "/proc", "/sys", "/sbin", "/usr/sbin"} {
		layer = append(layer, File{Path: dir, Mode: os.ModeDir | 0o755})
	}
	certificates, err := certificateBundle()
	if err != nil {
		return nil, err
	}
	layer = append(layer, File{Path: "/etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Source: certificates})
	dynamic, err := withLibraries("curl", "wget", "dig", "getent", "nc.openbsd", "iperf", "nft", "ss", "ip", "dash", "bash")
	if err != nil {
		return nil, err
	}
	layer = append(layer, dynamic...)
	// the C library loads these by name
	for _, pattern := range []string{"/lib/*-linux-gnu/libnss_dns.so.2", "/lib/*-linux-gnu/libnss_files.so.2"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			file, err := filepath.EvalSymlinks(path)
			if err != nil {
				return nil, err
			}
			layer = append(layer, File{Path: path, Mode: 0o755, Source: file})
		}
	}
	applets, err := busybox()
	return append(layer, applets...), err
}

// busybox gives the program and its applets as links.
func busybox() (Layer, error) {
	program, err := find("busybox")
	if err != nil {
		return nil, err
	}
	out, err := exec.Command(program, "--list").Output() // #nosec G204 -- busybox, wherever it is
	if err != nil {
		return nil, fmt.Errorf("busybox: %w", err)
	}
	layer, err := libraries(program)
	if err != nil {
		return nil, err
	}
	layer = append(layer, File{Path: "/bin/busybox", Mode: 0o755, Source: program})
	for _, applet := range strings.Fields(string(out)) {
		if !slices.Contains(notFromBusybox, applet) {
			layer = append(layer, File{Path: "/bin/" + applet, Link: "busybox"})
		}
	}
	return layer, nil
}

// libraryPath finds the files that ldd(1) names.
var libraryPath = regexp.MustCompile(`/[^ ()]+`)

// withLibraries gives programs of the machine in /usr/bin or /bin, with the shared libraries that they need.
func withLibraries(programs ...string) (Layer, error) {
	var layer Layer
	for _, name := range programs {
		program, err := find(name)
		if err != nil {
			return nil, err
		}
		dir := "/usr/bin"
		if name == "dash" || name == "bash" {
			dir = "/bin" // scripts begin with these paths
		}
		needs, err := libraries(program)
		if err != nil {
			return nil, err
		}
		layer = append(append(layer, File{Path: filepath.Join(dir, name), Mode: 0o755, Source: program}), needs...)
	}
	return slices.Compact(layer.sorted()), nil
}

// libraries gives the shared libraries that a program needs; none if it is static.
func libraries(program string) (Layer, error) {
	out, err := exec.Command("ldd", program).CombinedOutput() // #nosec G204 -- a program that find found
	if err != nil {
		return nil, nil //nolint:nilerr // ldd fails for static programs
	}
	var layer Layer
	for _, path := range libraryPath.FindAllString(string(out), -1) {
		file, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, fmt.Errorf("%s needs a library: %w", program, err)
		}
		layer = append(layer, File{Path: path, Mode: 0o755, Source: file})
	}
	return layer, nil
}

// find looks for a program, also where administrators' programs are, and follows links.
func find(program string) (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin") {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return filepath.EvalSymlinks(path)
		}
	}
	return "", fmt.Errorf("%s is not installed on this machine", program)
}
