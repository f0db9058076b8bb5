// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package netlink

import (
	"context"
	"errors"
	"fmt"

	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/dataplane"
)

// Apply implements dataplane.Host. It goes on after an error, so that one peer's route does not stop the others': tunnels are made and
// completed, then routes and rules are brought to their state, then what no route needs any more is taken from the tunnels.
func (k *Kernel) Apply(_ context.Context, s dataplane.State) (dataplane.Changes, error) {
	var done dataplane.Changes
	for _, c := range s.Sysctls {
		changed, err := set(c)
		if err != nil {
			return done, err // the order matters
		}
		if changed {
			done.Sysctls = append(done.Sysctls, c)
		}
	}
	routes, err := stateRoutes()
	if err != nil {
		return done, err
	}
	rules, err := listRules()
	if err != nil {
		return done, err
	}
	tunnels, err := listTunnels(s.Tunnels)
	if err != nil {
		return done, err
	}
	todo := s.Diff(routes, rules, tunnels)
	var failed dataplane.ApplyError
	done.Tunnels = applyTunnels(todo.Tunnels, s.Tunnels, &failed)
	if remade(todo.Tunnels) { // with their interface, routes went
		if routes, err = stateRoutes(); err != nil {
			return done, err
		}
		again := s.Diff(routes, rules, tunnels)
		todo.Added, todo.Replaced, todo.Deleted = again.Added, again.Replaced, again.Deleted
	}
	done.AddedRules = applyRules("add", todo.AddedRules, &failed)
	done.Added = applyRoutes("add", todo.Added, add, &failed)
	done.Replaced = applyRoutes("replace", todo.Replaced, replace, &failed)
	done.Deleted = applyRoutes("delete", todo.Deleted, remove, &failed)
	done.DeletedRules = applyRules("delete", todo.DeletedRules, &failed)
	trimTunnels(todo.Tunnels, &failed)
	return done, failed.Err()
}

// stateRoutes are those that State is about.
func stateRoutes() ([]dataplane.Route, error) {
	return routes(dataplane.Ours, nil, nl.FAMILY_V6, nl.FAMILY_V4)
}

func applyRoutes(action string, todo []dataplane.Route, do func(dataplane.Route, *nl.Route) error, failed *dataplane.ApplyError) (done []dataplane.Route) {
	for _, r := range todo {
		kr, err := toKernel(r, indexOf)
		if err == nil {
			err = do(r, kr)
		}
		if err != nil {
			if !failed.Tunnel(r.Device) { // which says it all
				failed.Routes = append(failed.Routes, &dataplane.RouteError{Action: action, Route: r, Err: err})
			}
			continue
		}
		done = append(done, r)
	}
	return done
}

func add(r dataplane.Route, kr *nl.Route) error {
	err := nl.RouteAdd(kr)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("someone else's route is in its place: %w", err)
	}
	// Only a peer on the link may have been made again: the ends of tunnels are permanent neighbours.
	if err != nil || kr.Gw == nil || r.Protocol != dataplane.ProtocolNode || r.Via.IsLinkLocalUnicast() {
		return err
	}
	return forget(kr)
}

// forget the link-layer address of a route's next hop, and that only: the next packet solicits it again (RFC 4861, 7.2.2). A node
// that was made again has its old address and a new interface, and the kernel would go on to send to the old one until it finds the
// neighbour unreachable, which takes up to a minute (7.3). New routes only come with new peers.
func forget(r *nl.Route) error {
	entry := &nl.Neigh{LinkIndex: r.LinkIndex, Family: family(addr(r.Gw)), IP: r.Gw}
	if err := nl.NeighDel(entry); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("forget the link-layer address of %s: %w", r.Gw, err)
	}
	return nil
}

// replace is atomic in the kernel, whatever the numbers of next hops before and after.
func replace(_ dataplane.Route, kr *nl.Route) error { return nl.RouteReplace(kr) }

// remove deletes a route, whose next hops may have gone with their interfaces: those that are left go by what the route is for.
func remove(r dataplane.Route, kr *nl.Route) error {
	if len(r.More) > 0 {
		kr.MultiPath = nil
	}
	if err := nl.RouteDel(kr); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
