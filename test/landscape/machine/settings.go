// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// minimum are settings of the whole machine, counted per user, that its usual values are too low for: each kubelet, containerd and
// API server watches files of its own, and all belong to root.
var minimum = map[string]int{
	"fs/inotify/max_user_instances": 1024,
	"fs/inotify/max_user_watches":   131072,
}

// touched are settings of the whole machine that a kubelet changes when it starts.
var touched = []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"}

// settingsFile keeps what the settings were before. It is not a landscape's own: several may stand side by side, and the last one
// that goes restores them. Like the settings it doesn't outlive a reboot.
const settingsFile = "/run/gardener-extension-networking-ipv6-settings.json"

// prepareSettings keeps the machine's settings for restoreSettings, and raises those that are too low.
func prepareSettings() error {
	if !exists(settingsFile) {
		before := map[string]int{}
		for _, name := range append([]string{"fs/inotify/max_user_instances", "fs/inotify/max_user_watches"}, touched...) {
			// a kernel without that setting has no need of it
			if value, err := readSetting(name); err == nil {
				before[name] = value
			}
		}
		text, err := json.Marshal(before)
		if err != nil {
			return fmt.Errorf("the machine's settings: %w", err)
		}
		if err := writeFile(settingsFile, text); err != nil {
			return fmt.Errorf("the machine's settings: %w", err)
		}
	}
	for name, want := range minimum {
		if have, err := readSetting(name); err != nil || have >= want {
			continue
		}
		if err := writeSetting(name, want); err != nil {
			return err
		}
	}
	return nil
}

// restoreSettings puts back what prepareSettings found, unless another landscape is there.
func restoreSettings() error {
	text, err := os.ReadFile(settingsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the machine's settings: %w", err)
	}
	others, err := filepath.Glob(netnsPath("*-" + RouterName))
	if err != nil || len(others) > 0 {
		return err
	}
	before := map[string]int{}
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("%s: %w", settingsFile, err)
	}
	for name, value := range before {
		if have, err := readSetting(name); err == nil && have == value {
			continue
		}
		if err := writeSetting(name, value); err != nil {
			return err
		}
	}
	return removeFile(settingsFile)
}

func readSetting(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join("/proc/sys", name)) // #nosec G304 -- from the lists above
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func writeSetting(name string, value int) error {
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(strconv.Itoa(value)), 0o600); err != nil {
		return fmt.Errorf("setting %s of this machine: %w", name, err)
	}
	return nil
}
