// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Types of Neutron's errors that decide what to do.
const (
	subnetAllocationError = "SubnetAllocationError" // no room, or the CIDR is taken or outside: with status 500
	networkNotFound       = "NetworkNotFound"
)

// kinds of Neutron's errors whose type says more than their status.
var kinds = map[string]reservation.Kind{
	subnetAllocationError:            reservation.Exhausted,
	"MinPrefixSubnetAllocationError": reservation.Invalid,
	"MaxPrefixSubnetAllocationError": reservation.Invalid,
	"SubnetPoolQuotaExceeded":        reservation.Quota,
	"OverQuota":                      reservation.Quota,
	"SubnetInUse":                    reservation.Retry,
	"NetworkInUse":                   reservation.Retry,
	"SubnetPoolNotFound":             reservation.Invalid,
	networkNotFound:                  reservation.Retry,
	"SubnetNotFound":                 reservation.Retry,
}

// fault is what a service answered instead of doing what it was asked. It carries nothing of the request.
type fault struct {
	status  int
	kind    string // "SubnetInUse"
	message string
	request string // its ID at the service
	after   time.Duration
}

func (f *fault) Error() string {
	text := fmt.Sprintf("HTTP %d", f.status)
	if f.kind != "" {
		text += " " + f.kind
	}
	if f.message != "" {
		text += ": " + f.message
	}
	if f.after > 0 {
		text += fmt.Sprintf(" (it asks for a pause of %s)", f.after)
	}
	if f.request != "" {
		text += " (" + f.request + ")"
	}
	return text
}

// refusal explains the errors of one call.
type refusal struct {
	// what was tried, for people: "creating a subnet".
	what string
	// repeatable is false if a lost answer leaves open whether something was made.
	repeatable bool
	// login is true for the call that sends the credentials. What the service says to it is left out, and that it knows no such
	// application credential (404) is a refusal.
	login bool
	// secrets are struck out of every text.
	secrets []string
}

// explain turns an error of gophercloud into one of a kind. Nothing of the original is kept but its meaning: it holds URLs,
// headers and bodies.
func (r refusal) explain(err error) error {
	var response gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &response) {
		f := r.readFault(response)
		if r.login {
			f.message = ""
		}
		return reservation.Errorf(r.kindOf(f), "%s: OpenStack answers %w", r.what, f)
	}
	var transport *url.Error
	if errors.As(err, &transport) {
		err = transport.Err // without the URL
	}
	switch {
	case isBusy(err):
		return reservation.Errorf(reservation.Retry, "%s: not tried: %s", r.what, short(r.scrub(err.Error())))
	case distrusts(err):
		return reservation.Errorf(reservation.Invalid, "%s: OpenStack's certificate is not trusted: %s; put its authority into caCert of the credentials",
			r.what, short(r.scrub(err.Error())))
	case r.repeatable || neverSent(err):
		return reservation.Errorf(reservation.Retry, "%s: %s", r.what, short(r.scrub(err.Error())))
	}
	return reservation.Errorf(reservation.Ambiguous, "%s: no answer: %s", r.what, short(r.scrub(err.Error())))
}

// kindOf follows the type of the error, then its status.
func (r refusal) kindOf(f *fault) reservation.Kind {
	if kind, known := kinds[f.kind]; known {
		return kind
	}
	switch {
	case f.status == http.StatusUnauthorized, f.status == http.StatusForbidden, f.status == http.StatusNotFound && r.login:
		return reservation.Unauthorized
	case f.status == http.StatusConflict, f.status == http.StatusPreconditionFailed,
		f.status == http.StatusTooManyRequests, f.status == http.StatusServiceUnavailable, f.status == http.StatusRequestTimeout:
		return reservation.Retry
	case f.status >= http.StatusInternalServerError && r.repeatable:
		return reservation.Retry
	case f.status >= http.StatusInternalServerError:
		return reservation.Ambiguous
	}
	return reservation.Invalid
}

// readFault takes from an answer what is Neutron's own; a proxy's page is of no use. The server need not be Neutron at all, so
// that nothing it says is kept at any length.
func (r refusal) readFault(response gophercloud.ErrUnexpectedResponseCode) *fault {
	f := &fault{
		status: response.Actual, request: cut(r.scrub(response.ResponseHeader.Get("X-Openstack-Request-Id")), longestName),
		after: retryAfter(response.ResponseHeader, time.Now()),
	}
	var body struct {
		NeutronError struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"NeutronError"`
	}
	if json.Unmarshal(response.Body, &body) == nil {
		f.kind, f.message = cut(r.scrub(body.NeutronError.Type), longestName), short(r.scrub(body.NeutronError.Message))
	}
	return f
}

// Characters of a text that a server gave: of an identifier, and of a sentence.
const (
	longestName = 64
	longestText = 300
)

func short(text string) string { return cut(text, longestText) }

// cut keeps the beginning of a text. What must stay secret is struck out before: half of a secret would not be found.
func cut(text string, longest int) string {
	runes := []rune(strings.ToValidUTF8(text, "?"))
	return string(runes[:min(len(runes), longest)])
}

// scrub strikes out whatever must stay secret. No text that comes here should hold any; this makes sure.
func (r refusal) scrub(text string) string {
	for _, secret := range r.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// typeOf is the type of Neutron's error within err, empty if there is none.
func typeOf(err error) string {
	var f *fault
	if errors.As(err, &f) {
		return f.kind
	}
	return ""
}

// answered tells whether the service answered with this status.
func answered(err error, status int) bool {
	var f *fault
	return errors.As(err, &f) && f.status == status
}

// distrusts tells whether a server's certificate was refused.
func distrusts(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

// neverSent tells whether there was no connection to send anything on.
func neverSent(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "dial"
}
