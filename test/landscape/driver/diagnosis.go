// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Diagnosis is what a person would look at first when something in a scenario does not hold.
func (c *Cluster) Diagnosis(ctx context.Context) string {
	var text strings.Builder

	add := func(title, out string, err error) {
		fmt.Fprintf(&text, "--- %s\n%s", title, out)

		if err != nil {
			fmt.Fprintf(&text, "%v\n", err)
		}
	}

	kubectl := func(args ...string) {
		cmd := exec.CommandContext(ctx, filepath.Join(c.machine.Bin, "kubectl"), args...) // #nosec G204 -- our own program
		cmd.Env = append(os.Environ(), "KUBECONFIG="+ShootKubeconfigPath(c.machine.Dir))
		out, err := cmd.CombinedOutput()
		add("kubectl "+strings.Join(args, " "), string(out), err)
	}

	kubectl("get", "nodes", "-o", "wide")
	kubectl("get", "pods", "-A", "-o", "wide")
	kubectl("-n", "kube-system", "logs", "-l", "app=ipv6-agent", "--tail=8", "--prefix")

	router := c.machine.Router()
	for _, family := range []string{"-4", "-6"} {
		out, err := router.Run(ctx, "ip", family, "route")
		add("ip "+family+" route on the router", out, err)
	}

	return text.String()
}
