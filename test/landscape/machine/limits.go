// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// limits of the whole machine, counted per user, that its usual values are too low for: each kubelet, containerd and API server
// watches files of its own, and all belong to root.
var limits = map[string]int{
	"fs/inotify/max_user_instances": 1024,
	"fs/inotify/max_user_watches":   131072,
}

// limitsFile keeps what the limits were before. It is not a landscape's own: several may stand side by side, and the last one
// that goes restores them. Like the limits it doesn't outlive a reboot.
const limitsFile = "/run/gardener-extension-networking-ipv6-limits.json"

// raiseLimits raises what is too low and keeps in a file what was there before, for Down.
func raiseLimits() error {
	before := map[string]int{}
	if text, err := os.ReadFile(limitsFile); err == nil {
		if err := json.Unmarshal(text, &before); err != nil {
			return fmt.Errorf("%s: %w", limitsFile, err)
		}
	}
	for name, want := range limits {
		have, err := readLimit(name)
		if err != nil || have >= want {
			continue // a kernel without that limit has no need of it
		}
		if _, known := before[name]; !known {
			before[name] = have
		}
		text, err := json.Marshal(before)
		if err != nil {
			return err
		}
		if err := writeFile(limitsFile, text); err != nil {
			return err
		}
		if err := writeLimit(name, want); err != nil {
			return err
		}
	}
	return nil
}

// restoreLimits puts back what raiseLimits found.
func restoreLimits() error {
	text, err := os.ReadFile(limitsFile)
	if os.IsNotExist(err) {
		return nil
	}
	others, globErr := filepath.Glob(netnsPath("*-" + RouterName))
	if globErr != nil || len(others) > 0 {
		return globErr
	}
	before := map[string]int{}
	if err == nil {
		err = json.Unmarshal(text, &before)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", limitsFile, err)
	}
	for name, value := range before {
		if err := writeLimit(name, value); err != nil {
			return err
		}
	}
	return removeFile(limitsFile)
}

func readLimit(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join("/proc/sys", name)) // #nosec G304 -- from the list above
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func writeLimit(name string, value int) error {
	err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(strconv.Itoa(value)), 0o600)
	if err != nil {
		return fmt.Errorf("limit %s of this machine: %w", name, err)
	}
	return nil
}
