// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// failure is what the service answered to a call, or found at the end of an operation. It holds no more of the answer than
// is meant for people.
type failure struct {
	status  int    // of HTTP; 0 at the end of an operation
	reason  string // in the form of the HTTP API: quotaExceeded
	message string
}

func (f *failure) Error() string {
	switch {
	case f.reason == "":
		return fmt.Sprintf("the service answered HTTP %d: %s", f.status, f.message)
	case f.message == "":
		return f.reason
	}
	return f.reason + ": " + f.message
}

// What was asked of the service decides how an answer is to be read.
type verb string

const (
	reading  verb = "reading"
	creating verb = "creating" // it must not be repeated without a look
	changing verb = "changing" // it may be repeated
)

// reasons that need a name. Those of operations are spelled RESOURCE_NOT_FOUND, see camel.
var reasonKinds = map[string]reservation.Kind{
	"quotaExceeded": reservation.Quota, "limitExceeded": reservation.Quota, "dailyLimitExceeded": reservation.Quota,

	"rateLimitExceeded": reservation.Retry, "userRateLimitExceeded": reservation.Retry, "concurrentOperationsQuotaExceeded": reservation.Retry,
	"resourceOperationRateExceeded": reservation.Retry, "operationRateExceeded": reservation.Retry,

	"ipSpaceExhausted": reservation.Exhausted, "ipSpaceExhaustedWithDetails": reservation.Exhausted,
	"ipRangeExhausted": reservation.Exhausted, "resourceExhausted": reservation.Exhausted,

	"resourceInUseByAnotherResource": reservation.Retry, "resourceInUse": reservation.Retry, "resourceNotReady": reservation.Retry,
	"conditionNotMet": reservation.Retry, "operationInProgress": reservation.Retry, "operationCanceledByUser": reservation.Retry,

	"forbidden": reservation.Unauthorized, "insufficientPermissions": reservation.Unauthorized, "permissionDenied": reservation.Unauthorized,
	"permissionsError": reservation.Unauthorized, "authError": reservation.Unauthorized, "accessNotConfigured": reservation.Unauthorized,
	"required": reservation.Invalid, "invalid": reservation.Invalid, "invalidUsage": reservation.Invalid, "badRequest": reservation.Invalid,
	"invalidFieldValue": reservation.Invalid, "unsupportedOperation": reservation.Invalid, "invalidParameter": reservation.Invalid,
}

// hints are what would be right.
var hints = map[reservation.Kind]string{
	reservation.Quota:        "raise the quota of the region or release some",
	reservation.Exhausted:    "add another subnetwork as a pool or release some",
	reservation.Unauthorized: "grant the permissions of docs/ipam/gcp.md, and check the project and that the Compute Engine API is enabled",
}

func (f *failure) kind(v verb) reservation.Kind {
	if kind, known := reasonKinds[f.reason]; known {
		return kind
	}
	switch {
	case f.status == http.StatusUnauthorized || f.status == http.StatusForbidden:
		return reservation.Unauthorized
	case f.status == http.StatusBadRequest || f.status == http.StatusNotFound:
		return reservation.Invalid
	case f.status == http.StatusConflict || f.status == http.StatusPreconditionFailed || f.status == http.StatusTooManyRequests:
		return reservation.Retry
	case v == creating: // a failure on their side, or one of tomorrow's: it may be there
		return reservation.Ambiguous
	}
	return reservation.Retry
}

func (f *failure) exists() bool {
	return f.reason == "alreadyExists" || f.reason == "resourceAlreadyExists" || (f.reason == "" && f.status == http.StatusConflict)
}

func (f *failure) missing() bool {
	return f.reason == "notFound" || f.reason == "resourceNotFound" || (f.reason == "" && f.status == http.StatusNotFound)
}

// taken tells that the address that was asked for is somebody else's.
func (f *failure) taken() bool {
	switch f.reason {
	case "ipInUseByAnotherResource", "resourceInUseByAnotherResource", "ipAddressInUse", "resourceInUse":
		return true
	}
	return f.exists()
}

// asFailure finds what the service answered; nil if it did not answer.
func asFailure(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var answer *googleapi.Error
	if !errors.As(err, &answer) {
		return nil
	}
	f = &failure{status: answer.Code, message: oneLine(answer.Message)}
	if len(answer.Errors) > 0 {
		f.reason = camel(answer.Errors[0].Reason)
		if f.message == "" {
			f.message = oneLine(answer.Errors[0].Message)
		}
	}
	return f
}

// problem makes an error of a kind of whatever a call came back with. What the SDK says is not wrapped: it holds whole answers.
func problem(v verb, err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	var known *reservation.Error
	if errors.As(err, &known) { // the credentials, before anything was sent
		return reservation.Errorf(known.Kind, "%s: %w", what, known.Err)
	}
	if f := asFailure(err); f != nil {
		kind := f.kind(v)
		if hint := hints[kind]; hint != "" {
			return reservation.Errorf(kind, "%s: %w; %s", what, f, hint)
		}
		return reservation.Errorf(kind, "%s: %w", what, f)
	}
	kind := reservation.Retry
	if v == creating {
		kind = reservation.Ambiguous
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return reservation.Errorf(kind, "%s: no answer: %w", what, ended)
		}
	}
	return reservation.Errorf(kind, "%s: no answer: %s", what, oneLine(innermost(err).Error()))
}

// innermost leaves out the URL, which url.Error repeats.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// operationFailure is what an operation ended with, nil if it succeeded.
func operationFailure(op *compute.Operation) error {
	if op.Error == nil || len(op.Error.Errors) == 0 {
		if op.HttpErrorStatusCode >= http.StatusBadRequest {
			return &failure{status: int(op.HttpErrorStatusCode), message: oneLine(op.HttpErrorMessage)}
		}
		return nil
	}
	first := op.Error.Errors[0]
	return &failure{status: int(op.HttpErrorStatusCode), reason: camel(first.Code), message: oneLine(first.Message)}
}

var blanks = regexp.MustCompile(`\s+`)

// oneLine keeps what a person reads at a glance.
func oneLine(text string) string {
	text = strings.TrimRight(strings.TrimSpace(blanks.ReplaceAllString(text, " ")), ".")
	if runes := []rune(text); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return text
}

// camel spells an operation's code as the HTTP API does: IP_SPACE_EXHAUSTED becomes ipSpaceExhausted.
func camel(code string) string {
	if code != strings.ToUpper(code) {
		return code
	}
	words := strings.Split(strings.ToLower(code), "_")
	for i, word := range words[1:] {
		if word != "" {
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}
