// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/attributestags"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/subnetpools"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// The calls of Neutron that are needed, in its words. All lists are read to their end, or fail.

// listSubnets returns those of our own project: with an administrator's credentials one sees those of others too, and
// whatever their description says, they are not ours.
func (r *Reserver) listSubnets(ctx context.Context, options subnets.ListOpts) ([]subnets.Subnet, error) {
	return r.subnets(ctx, "listing subnets", func(s *session) subnets.ListOpts {
		options.ProjectID = s.project
		return options
	})
}

// listPool returns all subnets of a pool that are visible.
func (r *Reserver) listPool(ctx context.Context, poolID string) ([]subnets.Subnet, error) {
	return r.subnets(ctx, "listing the subnets of a pool", func(*session) subnets.ListOpts {
		return subnets.ListOpts{SubnetPoolID: poolID}
	})
}

func (r *Reserver) subnets(ctx context.Context, what string, options func(*session) subnets.ListOpts) ([]subnets.Subnet, error) {
	var all []subnets.Subnet
	err := r.call(ctx, refusal{what: what, repeatable: true}, func(s *session) error {
		all = nil
		o := options(s)
		o.Limit = r.account.config.PageSize
		return eachPage(ctx, s, subnets.List(s.network, o), "subnets", func(page pagination.PageResult) pagination.Page {
			return subnets.SubnetPage{LinkedPageBase: pagination.LinkedPageBase{PageResult: page}}
		}, func(page pagination.Page) error {
			some, err := subnets.ExtractSubnets(page)
			all = append(all, some...)
			return err
		})
	})
	return all, err
}

func (r *Reserver) getSubnet(ctx context.Context, id string) (found *subnets.Subnet, err error) {
	err = r.call(ctx, refusal{what: "reading subnet " + id, repeatable: true}, func(s *session) error {
		found, err = subnets.Get(ctx, s.network, url.PathEscape(id)).Extract()
		return err
	})
	return found, err
}

func (r *Reserver) createSubnet(ctx context.Context, options subnets.CreateOpts) (made *subnets.Subnet, err error) {
	err = r.call(ctx, refusal{what: "creating a subnet"}, func(s *session) error {
		made, err = subnets.Create(ctx, s.network, options).Extract()
		return err
	})
	return made, err
}

// describeSubnet changes the description if nobody else has changed the subnet since it was read.
func (r *Reserver) describeSubnet(ctx context.Context, subnet subnets.Subnet, description string) error {
	return r.call(ctx, refusal{what: "marking subnet " + subnet.ID, repeatable: true}, func(s *session) error {
		options := subnets.UpdateOpts{Description: &description, RevisionNumber: &subnet.RevisionNumber}
		return subnets.Update(ctx, s.network, subnet.ID, options).Err
	})
}

func (r *Reserver) tagSubnet(ctx context.Context, id string) error {
	return r.call(ctx, refusal{what: "tagging subnet " + id, repeatable: true}, func(s *session) error {
		return attributestags.Add(ctx, s.network, "subnets", id, tag).ExtractErr()
	})
}

func (r *Reserver) deleteSubnet(ctx context.Context, subnet subnets.Subnet) error {
	return r.delete(ctx, "subnets", subnet.ID, subnet.RevisionNumber)
}

func (r *Reserver) deleteNetwork(ctx context.Context, network networks.Network) error {
	return r.delete(ctx, "networks", network.ID, network.RevisionNumber)
}

// delete an object that is as it was when it was read: Neutron answers 412 if it is not. That it is gone already is success.
func (r *Reserver) delete(ctx context.Context, collection, id string, revision int) error {
	err := r.call(ctx, refusal{what: "deleting " + collection + "/" + id, repeatable: true}, func(s *session) error {
		resp, err := s.network.Delete(ctx, s.network.ServiceURL(collection, url.PathEscape(id)), &gophercloud.RequestOpts{
			MoreHeaders: map[string]string{"If-Match": "revision_number=" + strconv.Itoa(revision)},
		})
		_, _, err = gophercloud.ParseResponse(resp, err)
		return err
	})
	if answered(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// listNetworks returns those of our own project.
func (r *Reserver) listNetworks(ctx context.Context, options networks.ListOpts) ([]networks.Network, error) {
	var all []networks.Network
	err := r.call(ctx, refusal{what: "listing networks", repeatable: true}, func(s *session) error {
		all = nil
		options.ProjectID, options.Limit = s.project, r.account.config.PageSize
		return eachPage(ctx, s, networks.List(s.network, options), "networks", func(page pagination.PageResult) pagination.Page {
			return networks.NetworkPage{LinkedPageBase: pagination.LinkedPageBase{PageResult: page}}
		}, func(page pagination.Page) error {
			some, err := networks.ExtractNetworks(page)
			all = append(all, some...)
			return err
		})
	})
	return all, err
}

func (r *Reserver) getNetwork(ctx context.Context, id string) (found *networks.Network, err error) {
	err = r.call(ctx, refusal{what: "reading network " + id, repeatable: true}, func(s *session) error {
		found, err = networks.Get(ctx, s.network, url.PathEscape(id)).Extract()
		return err
	})
	return found, err
}

// createNetwork makes one that is administratively down.
func (r *Reserver) createNetwork(ctx context.Context, name, description string) (made *networks.Network, err error) {
	down := false
	err = r.call(ctx, refusal{what: "creating a network"}, func(s *session) error {
		options := networks.CreateOpts{Name: name, Description: description, AdminStateUp: &down}
		made, err = networks.Create(ctx, s.network, options).Extract()
		return err
	})
	return made, err
}

func (r *Reserver) getPool(ctx context.Context, id string) (found *subnetpools.SubnetPool, err error) {
	err = r.call(ctx, refusal{what: "reading subnet pool " + id, repeatable: true}, func(s *session) error {
		found, err = subnetpools.Get(ctx, s.network, url.PathEscape(id)).Extract()
		return err
	})
	return found, err
}

// listPools returns the visible pools of a name, our own and shared ones.
func (r *Reserver) listPools(ctx context.Context, name string) ([]subnetpools.SubnetPool, error) {
	var all []subnetpools.SubnetPool
	err := r.call(ctx, refusal{what: "listing subnet pools", repeatable: true}, func(s *session) error {
		all = nil
		options := subnetpools.ListOpts{Name: name, IPVersion: 6, Limit: r.account.config.PageSize}
		return eachPage(ctx, s, subnetpools.List(s.network, options), "subnetpools", func(page pagination.PageResult) pagination.Page {
			return subnetpools.SubnetPoolPage{LinkedPageBase: pagination.LinkedPageBase{PageResult: page}}
		}, func(page pagination.Page) error {
			some, err := subnetpools.ExtractSubnetPools(page)
			all = append(all, some...)
			return err
		})
	})
	return all, err
}
