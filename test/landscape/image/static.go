// SPDX-FileCopyrightText: SAP SE or an SAP affiliate company and Gardener contributors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"os"
	"path/filepath"
)

// Repository is where the project's images are published.
const Repository = "ghcr.io/gardener/gardener-extension-networking-ipv6"

// nonroot is the user of programs that need no privileges, as in distroless images.
const nonroot = "65532:65532"

// base is what every static program expects to find.
func base() (Layer, error) {
	layer := Layer{
		{Path: "/etc/passwd", Mode: 0o644, Content: "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"},
		{Path: "/etc/group", Mode: 0o644, Content: "root:x:0:\nnonroot:x:65532:\n"},
		{Path: "/etc/nsswitch.conf", Mode: 0o644, Content: "hosts: files dns\n"},
		{Path: "/home/nonroot", Mode: os.ModeDir | 0o777},
		{Path: "/tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
	}
	for _, path := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return append(layer, File{Path: "/etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Source: real}), nil
		}
	}
	return nil, fmt.Errorf("this machine has no bundle of CA certificates to put into images")
}

// Static describes an image of one static program, which runs as user 65532.
func Static(name, program string) (Spec, error) {
	layer, err := base()
	if err != nil {
		return Spec{}, err
	}
	path := "/" + filepath.Base(program)
	return Spec{Names: []string{name}, Entrypoint: []string{path}, User: nonroot,
		Layers: []Layer{layer, {{Path: path, Mode: 0o755, Source: program}}}}, nil
}

// Own describes the images of the project's own programs with a tag. bin is where they were built to.
func Own(bin, tag string) ([]Spec, error) {
	var specs []Spec
	for _, program := range []string{"gardener-extension-networking-ipv6", "gardener-extension-admission-ipv6", "ipv6-ipam-controller"} {
		spec, err := Static(Repository+"/"+program+":"+tag, filepath.Join(bin, program))
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	agent, err := Static(Repository+"/ipv6-agent:"+tag, filepath.Join(bin, "ipv6-agent"))
	if err != nil {
		return nil, err
	}
	// it configures the node's network
	agent.User = "0:0"
	plugins := Layer{{Path: "/ipv6-cni", Mode: 0o755, Source: filepath.Join(bin, "ipv6-cni")}}
	for _, p := range []string{"portmap", "loopback"} {
		plugins = append(plugins, File{Path: "/" + p, Mode: 0o755, Source: filepath.Join(bin, "cni", p)})
	}
	agent.Layers = append(agent.Layers, plugins)
	return append(specs, agent), nil
}

// Kubernetes describes the images that every cluster of the landscape needs.
func Kubernetes(bin string) ([]Spec, error) {
	coredns, err := Static(CoreDNS, filepath.Join(bin, "coredns"))
	if err != nil {
		return nil, err
	}
	coredns.User = "" // binds port 53
	pause := Spec{Names: []string{Pause}, Entrypoint: []string{"/pause"}, User: "65535:65535",
		Layers: []Layer{{{Path: "/pause", Mode: 0o755, Source: filepath.Join(bin, "pause")}}}}
	return []Spec{pause, coredns}, nil
}

// Gardener describes the images of Gardener's own programs.
func Gardener(bin string) ([]Spec, error) {
	apiserver, err := Static(GardenerAPIServer, filepath.Join(bin, "gardener-apiserver"))
	if err != nil {
		return nil, err
	}
	grm, err := Static(GardenerResourceManager, filepath.Join(bin, "gardener-resource-manager"))
	if err != nil {
		return nil, err
	}
	return []Spec{apiserver, grm}, nil
}
