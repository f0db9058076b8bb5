// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// prerequisite is a program that the landscape takes from the machine, and the Debian package it is in.
type prerequisite struct{ program, pkg string }

var prerequisites = []prerequisite{
	{"ip", "iproute2"}, {"ss", "iproute2"}, {"nft", "nftables"}, {"conntrack", "conntrack"}, {"runc", "runc"},
	{"mount", "mount"}, {"unshare", "util-linux"}, {"ps", "procps"},
	// these go into the image of upstream's end-to-end tests
	{"busybox", "busybox-static"}, {"bash", "bash"}, {"dash", "dash"}, {"curl", "curl"}, {"wget", "wget"}, {"dig", "bind9-dnsutils"},
	{"nc.openbsd", "netcat-openbsd"}, {"iperf", "iperf"}, {"ldd", "libc-bin"},
	// these are what tests look with
	{"ping", "iputils-ping"}, {"tcpdump", "tcpdump"},
}

// kernelProbe is a feature of the kernel, and a script that fails where it is missing.
type kernelProbe struct{ feature, script string }

// the scripts run in network and mount namespaces of their own, which end with them
var kernelProbes = []kernelProbe{
	{"network namespaces", "true"},
	{"veth devices", "ip link add v0 type veth peer name v1"},
	{"bridge devices", "ip link add b0 type bridge"},
	{"nftables", "nft add table inet t && nft add chain inet t c '{ type filter hook input priority 0; }'"},
	{"nftables NAT", "nft add table ip6 t && nft add chain ip6 t c '{ type nat hook prerouting priority -100; }'"},
	{"nftables fib expression", "nft add table inet t && nft add chain inet t c && nft add rule inet t c fib daddr type local accept"},
	{"nftables connection tracking", "nft add table inet t && nft add chain inet t c && nft add rule inet t c ct state established accept"},
	{"IPv6", "test -d /proc/sys/net/ipv6 && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"},
	{"overlay file systems on top of the cache directory", `d="$1/overlay-probe" && mkdir -p "$d/u" "$d/w" "$d/m" && mount -t overlay overlay -o lowerdir=/etc,upperdir="$d/u",workdir="$d/w" "$d/m"`},
}

const (
	gib = 1 << 30
	// a cold build fills the compiler's and the module cache as well
	diskCold, diskWarm = 16 * gib, 4 * gib
	memory             = 4 * gib
)

// Check finds out whether this machine can run a landscape and names everything that is missing at once. With install it
// installs missing packages first.
func Check(ctx context.Context, logf func(string, ...any), install bool) error {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return fmt.Errorf("the landscape needs Linux and root: it makes network namespaces, mounts and control groups (this is user %d on %s)",
			os.Geteuid(), runtime.GOOS)
	}
	if packages := missingPackages(); len(packages) > 0 && install {
		logf("check: installing %s", strings.Join(packages, " "))
		if err := installPackages(ctx, packages); err != nil {
			return err
		}
	}
	var missing []string
	packages := missingPackages()
	if len(packages) > 0 {
		missing = append(missing, fmt.Sprintf("programs: apt-get install -y --no-install-recommends %s", strings.Join(packages, " ")))
	}
	resources, err := missingResources()
	if err != nil {
		return err
	}
	missing = append(missing, resources...)
	if !slices.Contains(packages, "iproute2") && !slices.Contains(packages, "nftables") && !slices.Contains(packages, "util-linux") {
		missing = append(missing, missingFeatures(ctx)...)
	}
	if len(missing) > 0 {
		return fmt.Errorf("this machine lacks what the landscape needs:\n  - %s", strings.Join(missing, "\n  - "))
	}
	return nil
}

func missingPackages() []string {
	var packages []string
	for _, p := range prerequisites {
		if _, err := lookPath(p.program); err != nil && !slices.Contains(packages, p.pkg) {
			packages = append(packages, p.pkg)
		}
	}
	return packages
}

// lookPath also looks where administrators' programs are, which sudo and some shells leave out.
func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", program, exec.ErrNotFound)
}

func installPackages(ctx context.Context, packages []string) error {
	args := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	for _, a := range [][]string{{"update"}, args} {
		cmd := exec.CommandContext(ctx, "apt-get", a...) // #nosec G204 -- packages from the list above
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(a, " "), err, out)
		}
	}
	return nil
}

func missingResources() ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return nil, fmt.Errorf("cache directory: %w", err)
	}
	var missing []string
	var fs syscall.Statfs_t
	if err := syscall.Statfs(cache, &fs); err != nil {
		return nil, fmt.Errorf("cache directory %s: %w", cache, err)
	}
	need := uint64(diskWarm)
	if _, err := os.Stat(filepath.Join(cache, "bin", "kubelet")); err != nil {
		need = diskCold
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < need { // #nosec G115 -- a block size is positive
		missing = append(missing, fmt.Sprintf("disk: %d GiB are free at %s, %d GiB are needed", free/gib, cache, need/gib))
	}
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	if total := info.Totalram * uint64(info.Unit); total < memory {
		missing = append(missing, fmt.Sprintf("memory: the machine has %d MiB, %d MiB are needed", total>>20, memory>>20))
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		for _, c := range []string{"cpu", "cpuacct", "memory", "pids", "cpuset", "devices"} {
			if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", c, "cgroup.procs")); err != nil {
				missing = append(missing, "control groups: neither version 2 nor the version 1 hierarchy "+c+" is mounted below /sys/fs/cgroup")
			}
		}
	}
	return missing, nil
}

func missingFeatures(ctx context.Context) []string {
	cache, err := CacheDir()
	if err != nil {
		return []string{err.Error()}
	}
	defer func() { _ = os.RemoveAll(filepath.Join(cache, "overlay-probe")) }()
	var missing []string
	for _, p := range kernelProbes {
		cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "sh", "-euc", p.script, "probe", cache) // #nosec G204 -- scripts from the list above
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
		if out, err := cmd.CombinedOutput(); err != nil {
			missing = append(missing, fmt.Sprintf("kernel: %s (%s: %s)", p.feature, err, strings.TrimSpace(string(out))))
		}
	}
	return missing
}
