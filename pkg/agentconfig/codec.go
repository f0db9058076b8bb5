// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agentconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// decoders knows how to read each version that this agent accepts: its own and, once there is one, the version before it (N-1), which
// its decoder converts. Each reads strictly in its own schema: a field that the version does not have is an error, never ignored. An
// older agent rejects a newer document; during a rollout it keeps the one it was started with, because the extension names the
// ConfigMap after its content.
var decoders = map[string]func([]byte) (*Config, error){
	APIVersion: decodeV1,
}

// Encode writes the configuration, complete with version and kind, as JSON (which is YAML, too). It refuses an invalid one.
func Encode(c Config) ([]byte, error) {
	c.APIVersion, c.Kind = APIVersion, Kind
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	out, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	return append(out, '\n'), nil
}

// Decode reads and validates a configuration of a version that this agent accepts.
func Decode(data []byte) (*Config, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	if head.Kind != Kind {
		return nil, fmt.Errorf("agent configuration: kind is %q, want %q", head.Kind, Kind)
	}
	decode, ok := decoders[head.APIVersion]
	if !ok {
		return nil, fmt.Errorf("agent configuration: apiVersion is %q; this agent reads %s", head.APIVersion, strings.Join(versions(), ", "))
	}
	c, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	return c, nil
}

func decodeV1(data []byte) (*Config, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	c := &Config{}
	if err := d.Decode(c); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the document")
	}
	return c, nil
}

func versions() []string {
	out := make([]string, 0, len(decoders))
	for v := range decoders {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}
