// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// answer as the HTTP API gives it.
func answer(status int, reason string) error {
	e := &googleapi.Error{Code: status, Message: "What  happened.\n", Body: "all of it"}
	if reason != "" {
		e.Errors = []googleapi.ErrorItem{{Reason: reason, Message: e.Message}}
	}
	return fmt.Errorf("wrapped: %w", e)
}

// end of an operation.
func end(code string) error {
	return operationFailure(&compute.Operation{Status: "DONE", Error: &compute.OperationError{Errors: []*compute.OperationErrorErrors{{Code: code}}}})
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		err                         error
		creating, changing, reading reservation.Kind
	}{
		{answer(400, "invalid"), reservation.Invalid, reservation.Invalid, reservation.Invalid},
		{answer(400, "unheardOf"), reservation.Invalid, reservation.Invalid, reservation.Invalid},
		{answer(400, "resourceNotReady"), reservation.Retry, reservation.Retry, reservation.Retry},
		{answer(400, "resourceInUseByAnotherResource"), reservation.Retry, reservation.Retry, reservation.Retry},
		{answer(401, ""), reservation.Unauthorized, reservation.Unauthorized, reservation.Unauthorized},
		{answer(403, "forbidden"), reservation.Unauthorized, reservation.Unauthorized, reservation.Unauthorized},
		{answer(403, "accessNotConfigured"), reservation.Unauthorized, reservation.Unauthorized, reservation.Unauthorized},
		{answer(403, "quotaExceeded"), reservation.Quota, reservation.Quota, reservation.Quota},
		{answer(403, "rateLimitExceeded"), reservation.Retry, reservation.Retry, reservation.Retry},
		{answer(404, "notFound"), reservation.Invalid, reservation.Invalid, reservation.Invalid},
		{answer(412, "conditionNotMet"), reservation.Retry, reservation.Retry, reservation.Retry},
		{answer(429, ""), reservation.Retry, reservation.Retry, reservation.Retry},
		{answer(500, ""), reservation.Ambiguous, reservation.Retry, reservation.Retry},
		{answer(503, "backendError"), reservation.Ambiguous, reservation.Retry, reservation.Retry},
		{end("QUOTA_EXCEEDED"), reservation.Quota, reservation.Quota, reservation.Quota},
		{end("RATE_LIMIT_EXCEEDED"), reservation.Retry, reservation.Retry, reservation.Retry},
		{end("IP_SPACE_EXHAUSTED"), reservation.Exhausted, reservation.Exhausted, reservation.Exhausted},
		{end("IP_SPACE_EXHAUSTED_WITH_DETAILS"), reservation.Exhausted, reservation.Exhausted, reservation.Exhausted},
		{end("PERMISSIONS_ERROR"), reservation.Unauthorized, reservation.Unauthorized, reservation.Unauthorized},
		{answer(403, "dailyLimitExceeded"), reservation.Quota, reservation.Quota, reservation.Quota},
		{end("INVALID_USAGE"), reservation.Invalid, reservation.Invalid, reservation.Invalid},
		{end("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"), reservation.Retry, reservation.Retry, reservation.Retry},
		{end("INTERNAL_ERROR"), reservation.Ambiguous, reservation.Retry, reservation.Retry},
		{&url.Error{Op: "Post", URL: "https://x", Err: context.DeadlineExceeded}, reservation.Ambiguous, reservation.Retry, reservation.Retry},
		{&url.Error{Op: "Post", URL: "https://x", Err: errors.New("EOF")}, reservation.Ambiguous, reservation.Retry, reservation.Retry},
		{
			&url.Error{Op: "Post", URL: "https://x", Err: reservation.Errorf(reservation.Unauthorized, "the key is bad")},
			reservation.Unauthorized, reservation.Unauthorized, reservation.Unauthorized,
		},
	} {
		g := NewWithT(t)
		for v, want := range map[verb]reservation.Kind{creating: c.creating, changing: c.changing, reading: c.reading} {
			g.Expect(reservation.KindOf(problem(v, c.err, "doing"))).To(Equal(want), "%s: %v", v, c.err)
		}
	}
}

func TestSentences(t *testing.T) {
	for want, err := range map[string]error{
		"doing x: invalid: What happened":                                                      answer(400, "invalid"),
		"doing x: the service answered HTTP 500: What happened":                                answer(500, ""),
		"doing x: quotaExceeded: What happened; raise the quota of the region or release some": answer(403, "quotaExceeded"),
		"doing x: ipSpaceExhausted; add another subnetwork as a pool or release some":          end("IP_SPACE_EXHAUSTED"),
		"doing x: no answer: EOF":                                                              &url.Error{Op: "Post", URL: "https://x", Err: errors.New("EOF")},
		"doing x: the key is bad":                                                              &url.Error{Op: "Post", URL: "https://x", Err: reservation.Errorf(reservation.Unauthorized, "the key is bad")},
	} {
		NewWithT(t).Expect(problem(changing, err, "doing %s", "x")).To(MatchError(want))
	}
	g := NewWithT(t)
	g.Expect(operationFailure(&compute.Operation{Status: "DONE"})).To(Succeed())
	g.Expect(operationFailure(&compute.Operation{Status: "DONE", HttpErrorStatusCode: 409, HttpErrorMessage: "CONFLICT"})).
		To(MatchError("the service answered HTTP 409: CONFLICT"))
	g.Expect(oneLine(strings.Repeat("ä", 400))).To(Equal(strings.Repeat("ä", 300) + "…"))
}

func TestMark(t *testing.T) {
	g := NewWithT(t)
	for _, owner := range []reservation.Owner{
		{GardenID: "garden", ShootUID: "uid", Range: "nodes-ipv6", Attempt: 1},
		{GardenID: "a garden/with seed=x", ShootUID: "%2F", Range: "", Attempt: 12},
	} {
		for _, seed := range []string{"", "seed", "seed.example.org"} {
			got, gotSeed, ours := undescribe(describe(owner, seed))
			g.Expect([]any{got, gotSeed, ours}).To(Equal([]any{owner, seed, true}))
		}
	}
	for _, description := range []string{"", "a load balancer", "v1/g/u/nodes-ipv6/1", "v2/g/u/nodes-ipv6/1 seed=s"} {
		_, _, ours := undescribe(description)
		g.Expect(ours).To(BeFalse(), description)
	}
}

func TestRequestIDs(t *testing.T) {
	g := NewWithT(t)
	id := requestID("name", "subnetwork", "")
	g.Expect(id).To(MatchRegexp("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"))
	g.Expect(requestID("name", "subnetwork", "")).To(Equal(id))
	g.Expect(requestID("name", "another", "")).NotTo(Equal(id))
	g.Expect(requestID("name", "subnetwork", "2001:db8::")).NotTo(Equal(id))
}

func TestIDs(t *testing.T) {
	g := NewWithT(t)
	owner := reservation.Owner{GardenID: "g", ShootUID: "u", Range: "nodes-ipv6", Attempt: 1}
	at, name, ok := parseID(place{"example.com:project", "europe-west1"}.address(nameOf(owner)))
	g.Expect([]any{at, name, ok}).To(Equal([]any{place{"example.com:project", "europe-west1"}, nameOf(owner), true}))
	for _, id := range []string{"", "pool-1", "projects/p/regions/r/addresses/somebodys", "projects/p/zones/z/addresses/" + nameOf(owner)} {
		_, _, ok := parseID(id)
		g.Expect(ok).To(BeFalse(), id)
	}
}
