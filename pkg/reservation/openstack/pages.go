// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"context"
	"net/url"

	"github.com/gophercloud/gophercloud/v2/pagination"
)

// eachPage reads a list to its end. The server's links to further pages are followed only in what they ask for: a Neutron
// behind a proxy that ends TLS writes links that begin with http, and the token must not go there, nor to any other host.
func eachPage(ctx context.Context, s *session, list pagination.Pager, collection string,
	read func(pagination.PageResult) pagination.Page, handle func(pagination.Page) error,
) error {
	place := s.network.ServiceURL(collection)
	list = list.WithPageCreator(func(r pagination.PageResult) pagination.Page { return staying{Page: read(r), place: place} })
	return list.EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		return true, handle(page.(staying).Page)
	})
}

// staying is a page whose next one is asked for at the same place.
type staying struct {
	pagination.Page
	place string
}

// NextPageURL implements pagination.Page.
func (s staying) NextPageURL() (string, error) {
	next, err := s.Page.NextPageURL()
	if err != nil || next == "" {
		return "", err
	}
	link, err := url.Parse(next)
	if err != nil {
		return "", err
	}
	return s.place + "?" + link.RawQuery, nil
}
