// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package openstack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gophercloud/gophercloud/v2"
	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

func answer(status int, body string, header http.Header) error {
	return gophercloud.ErrUnexpectedResponseCode{
		URL: "https://cloud/v2.0/subnets?token=s3cr3t", Method: "POST", Actual: status, Body: []byte(body), ResponseHeader: header,
	}
}

func neutronError(kind, message string) string {
	return fmt.Sprintf(`{"NeutronError": {"type": %q, "message": %q, "detail": ""}}`, kind, message)
}

// What Neutron answers, and what is to be done about it.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		status int
		kind   string
		create reservation.Kind // for a creation
		other  reservation.Kind // for what may be repeated
	}{
		{500, "SubnetAllocationError", reservation.Exhausted, reservation.Exhausted},
		{400, "MinPrefixSubnetAllocationError", reservation.Invalid, reservation.Invalid},
		{400, "MaxPrefixSubnetAllocationError", reservation.Invalid, reservation.Invalid},
		{400, "NetworkSubnetPoolAffinityError", reservation.Invalid, reservation.Invalid},
		{400, "HTTPBadRequest", reservation.Invalid, reservation.Invalid},
		{409, "SubnetPoolQuotaExceeded", reservation.Quota, reservation.Quota},
		{409, "OverQuota", reservation.Quota, reservation.Quota},
		{409, "SubnetInUse", reservation.Retry, reservation.Retry},
		{409, "SomethingNew", reservation.Retry, reservation.Retry},
		{404, "SubnetPoolNotFound", reservation.Invalid, reservation.Invalid},
		{404, "NetworkNotFound", reservation.Retry, reservation.Retry},
		{412, "RevisionNumberConstraintFailed", reservation.Retry, reservation.Retry},
		{401, "", reservation.Unauthorized, reservation.Unauthorized},
		{403, "PolicyNotAuthorized", reservation.Unauthorized, reservation.Unauthorized},
		{429, "", reservation.Retry, reservation.Retry},
		{503, "", reservation.Retry, reservation.Retry},
		{500, "HTTPInternalServerError", reservation.Ambiguous, reservation.Retry},
		{502, "", reservation.Ambiguous, reservation.Retry},
		{504, "", reservation.Ambiguous, reservation.Retry},
	} {
		t.Run(fmt.Sprint(c.status, c.kind), func(t *testing.T) {
			g := NewWithT(t)
			err := answer(c.status, neutronError(c.kind, "why"), nil)
			create, other := refusal{what: "trying"}.explain(err), refusal{what: "trying", repeatable: true}.explain(err)
			g.Expect(reservation.KindOf(create)).To(Equal(c.create))
			g.Expect(reservation.KindOf(other)).To(Equal(c.other))
			g.Expect(create).To(MatchError(ContainSubstring(fmt.Sprintf("trying: OpenStack answers HTTP %d", c.status))))
			g.Expect(typeOf(create)).To(Equal(c.kind))
		})
	}
	g := NewWithT(t)
	g.Expect(reservation.KindOf(refusal{login: true, repeatable: true}.explain(answer(404, "", nil)))).To(Equal(reservation.Unauthorized))
}

// What the network does to a request.
func TestTransport(t *testing.T) {
	wrap := func(err error) error { return &url.Error{Op: "Post", URL: "https://cloud/?token=s3cr3t", Err: err} }
	for _, c := range []struct {
		err           error
		create, other reservation.Kind
	}{
		{wrap(io.EOF), reservation.Ambiguous, reservation.Retry},
		{wrap(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}), reservation.Ambiguous, reservation.Retry},
		{wrap(&net.OpError{Op: "dial", Err: errors.New("connection refused")}), reservation.Retry, reservation.Retry},
		{wrap(&busy{}), reservation.Retry, reservation.Retry},
		{wrap(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), reservation.Invalid, reservation.Invalid},
		{errors.New("invalid character '<'"), reservation.Ambiguous, reservation.Retry},
	} {
		g := NewWithT(t)
		for repeatable, want := range map[bool]reservation.Kind{false: c.create, true: c.other} {
			got := refusal{what: "trying", repeatable: repeatable}.explain(c.err)
			g.Expect(reservation.KindOf(got)).To(Equal(want), "%v", c.err)
			g.Expect(got).To(MatchError(HavePrefix("trying: ")))
			g.Expect(got.Error()).NotTo(ContainSubstring("s3cr3t"))
		}
	}
}

// Nothing of the request is in an error, and of the answer only what Neutron says in its own form.
func TestErrorsAreClean(t *testing.T) {
	g := NewWithT(t)
	r := refusal{what: "creating a subnet", secrets: []string{"", "s3cr3t"}}
	header := http.Header{"X-Openstack-Request-Id": {"req-1"}, "Retry-After": {"3"}}
	err := r.explain(answer(409, neutronError("OverQuota", "s3cr3t says: Quota exceeded"), header))
	g.Expect(err).To(MatchError("creating a subnet: OpenStack answers HTTP 409 OverQuota: *** says: Quota exceeded (it asks for a pause of 3s) (req-1)"))
	g.Expect(r.explain(answer(502, "<html>s3cr3t</html>", nil))).To(MatchError("creating a subnet: OpenStack answers HTTP 502"))
	r.login = true
	g.Expect(r.explain(answer(401, neutronError("x", "user admin"), nil))).To(MatchError("creating a subnet: OpenStack answers HTTP 401 x"))
	g.Expect(r.explain(errors.New("s3cr3t"))).To(MatchError("creating a subnet: no answer: ***"))
	g.Expect(utf8.ValidString(r.explain(errors.New(strings.Repeat("ö", 400))).Error())).To(BeTrue())
	var sdk gophercloud.ErrUnexpectedResponseCode
	g.Expect(errors.As(err, &sdk)).To(BeFalse())
}

// A server that echoes what it was sent, at length: no part of a secret is left where the text is cut.
func TestErrorsAreShort(t *testing.T) {
	g := NewWithT(t)
	r := refusal{what: "trying", secrets: []string{"s3cr3t"}}
	fill := func(n int) string { return strings.Repeat("ö", n) }
	header := http.Header{"X-Openstack-Request-Id": {fill(61) + "s3cr3t" + fill(9)}}
	err := r.explain(answer(409, neutronError(fill(62)+"s3cr3t", fill(298)+"s3cr3t"+fill(1000)), header))
	g.Expect(err).To(MatchError("trying: OpenStack answers HTTP 409 " + fill(62) + "**: " + fill(298) + "** (" + fill(61) + "***)"))
	g.Expect(r.explain(errors.New(fill(299) + "s3cr3t"))).To(MatchError("trying: no answer: " + fill(299) + "*"))
	g.Expect(cut("a\xffb", 2)).To(Equal("a?"))
}
