// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodesource"
)

// The reasons of problems with the node's own prefix.
const (
	ReasonPrefixLost         = "NodePrefixLost"
	ReasonPrefixNone         = "NodePrefixNone"
	ReasonPrefixUnknown      = "NodePrefixUnknown"
	ReasonPrefixDeprecated   = "NodePrefixDeprecated"
	ReasonPrefixSourceSilent = "NodePrefixSourceSilent"
)

// say decides what the cluster is to know after the source's answer, given what it was told before, and what a person should know.
func say(told statement, ps []nodesource.Prefix, err error) (statement, Problem) {
	var lost *nodesource.LostError
	switch {
	case err == nil:
		return sayPrefixes(ps)
	case errors.As(err, &lost):
		return statement{Source: short(err.Error())}, Problem{Reason: ReasonPrefixLost, Message: short(err.Error()) + "; pods keep their addresses of it"}
	case errors.Is(err, nodesource.ErrNone):
		return statement{Source: short(err.Error())}, Problem{Reason: ReasonPrefixNone, Message: short(err.Error())}
	case told.Prefixes != "":
		// Whether the prefix is the node's still, nobody knows: so it is.
		return told, Problem{Reason: ReasonPrefixSourceSilent, Message: short(err.Error()) + "; the node is taken to have " + told.Prefixes + " still"}
	}
	return statement{Source: short(err.Error())}, Problem{Reason: ReasonPrefixUnknown, Message: short(err.Error())}
}

func sayPrefixes(ps []nodesource.Prefix) (statement, Problem) {
	var all, deprecated []netip.Prefix
	var origins []string
	for _, p := range ps {
		if !p.Prefix.Addr().Is6() {
			continue // IPv4 ranges are always cut from the pool
		}
		all = append(all, p.Prefix)
		if p.Deprecated {
			deprecated = append(deprecated, p.Prefix)
		}
		if !slices.Contains(origins, p.Origin) {
			origins = append(origins, p.Origin)
		}
	}
	s := statement{Prefixes: nodesource.FormatList(all), Source: short(strings.Join(origins, ", "))}
	var problem Problem
	if len(deprecated) > 0 {
		s.Source = short(s.Source + "; deprecated: " + nodesource.FormatList(deprecated))
		problem = Problem{Reason: ReasonPrefixDeprecated, Message: "whoever gives the node its prefix asks to leave " + nodesource.FormatList(deprecated) +
			" (" + strings.Join(origins, ", ") + "); if the node's pods have addresses of it, replace the node"}
	}
	return s, problem
}

// short keeps what others wrote from filling the node's object.
func short(text string) string {
	const limit = 500
	return cut(strings.ReplaceAll(text, "\n", "; "), limit)
}

// cut a text to a number of bytes, none of them half a character: what is told is UTF-8.
func cut(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
