// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"os"
	"path/filepath"
)

// nonroot is the user of programs that need no privileges, as in distroless images.
const nonroot = "65532:65532"

// binDir is where an image's program is.
const binDir = "/usr/local/bin"

// base is what every static program expects to find.
func base() (Layer, error) {
	layer := Layer{
		{Path: "/etc/passwd", Mode: 0o644, Content: "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"},
		{Path: "/etc/group", Mode: 0o644, Content: "root:x:0:\nnonroot:x:65532:\n"},
		{Path: "/etc/nsswitch.conf", Mode: 0o644, Content: "hosts: files dns\n"},
		{Path: "/home/nonroot", Mode: os.ModeDir | 0o777},
		{Path: "/tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
	}
	certificates, err := certificateBundle()
	return append(layer, File{Path: "/etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Source: certificates}), err
}

func certificateBundle() (string, error) {
	for _, path := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if bundle, err := filepath.EvalSymlinks(path); err == nil {
			return bundle, nil
		}
	}
	return "", errors.New("this machine has no bundle of CA certificates to put into images")
}

// static describes an image of one static program.
func static(name, program string) (Spec, error) {
	layer, err := base()
	path := filepath.Join(binDir, filepath.Base(program))
	return Spec{Names: []string{name}, Entrypoint: []string{path}, Layers: []Layer{layer, {{Path: path, Mode: 0o755, Source: program}}}}, err
}

// unprivileged is static for a program that runs as a user without privileges.
func unprivileged(name, program string) (Spec, error) {
	spec, err := static(name, program)
	spec.User = nonroot
	return spec, err
}

// pluginDir is where the agent's image holds the plugins that it installs; see package agentconfig.
const pluginDir = "/opt/ipv6/bin"

// agent describes the image of the node's agent: it holds the plugins, and nft for those nodes that have IPv4 pods.
func agent(name, bin string) (Spec, error) {
	spec, err := static(name, filepath.Join(bin, "ipv6-agent"))
	if err != nil {
		return Spec{}, err
	}
	var plugins Layer
	for program, source := range map[string]string{"ipv6-cni": "ipv6-cni", "portmap": "cni/portmap", "loopback": "cni/loopback"} {
		plugins = append(plugins, File{Path: filepath.Join(pluginDir, program), Mode: 0o755, Source: filepath.Join(bin, source)})
	}
	nft, err := withLibraries("nft")
	spec.Layers = append(spec.Layers, plugins.sorted(), nft)
	return spec, err
}
