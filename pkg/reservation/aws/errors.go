// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// effect of a call on the service: what not to know its outcome means.
type effect bool

const (
	reads  effect = false
	writes effect = true
)

// EC2's codes, by what to do about them. The lists that EC2 publishes are not complete, so families of codes are recognised too,
// see kindOf.
var (
	throttled = []string{
		"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException", "EC2ThrottledException",
		"RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequestsException", "SlowDown", "PriorRequestNotComplete",
	}
	unauthorized = []string{
		"UnauthorizedOperation", "AuthFailure", "AccessDenied", "AccessDeniedException", "Blocked", "OptInRequired", "PendingVerification",
		"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken",
		"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidIdentityToken", "InvalidIdentityTokenException", "IDPRejectedClaim",
	}
	exhausted = []string{"InsufficientCidrBlocks", "InsufficientAddressCapacity", "InsufficientFreeAddresses", "AddressSpaceExhausted"}
	gone      = []string{"InvalidIpamPoolAllocationId.NotFound"}
	busy      = []string{"DependencyViolation", "IncorrectState", "ConcurrentModification", "IDPCommunicationError"}
)

// What EC2 says under codes that mean other things as well.
const (
	tooBig       = "allocation size is too big for the pool" // InvalidParameterValue: no room of this length is left
	noAllocation = "No allocation found"                     // InvalidParameterCombination: it is released already
)

// kindOf an error's code and message.
func kindOf(code, message string) reservation.Kind {
	switch {
	case slices.Contains(throttled, code), slices.Contains(busy, code):
		return reservation.Retry
	case slices.Contains(unauthorized, code):
		return reservation.Unauthorized
	case slices.Contains(exhausted, code), strings.Contains(message, tooBig),
		strings.HasPrefix(code, "IpamPool") && strings.Contains(code, "Exhausted"), strings.HasPrefix(code, "Insufficient"):
		return reservation.Exhausted
	case strings.HasSuffix(code, "LimitExceeded"), strings.HasSuffix(code, "QuotaExceeded"), strings.HasSuffix(code, "LimitExceededException"):
		return reservation.Quota
	case code == "IdempotentParameterMismatch":
		return reservation.Ambiguous
	case strings.HasPrefix(code, "Invalid"), strings.HasPrefix(code, "Missing"), strings.HasPrefix(code, "Unknown") && code != "UnknownError",
		strings.HasPrefix(code, "Unsupported"), code == "ValidationError", code == "MalformedPolicyDocument", code == "OperationNotPermitted":
		return reservation.Invalid
	}
	return ""
}

// failure is what EC2 or STS said, with nothing in it that must not be read.
type failure struct{ code, message string }

// Error is the code and the sentence.
func (f *failure) Error() string {
	if f.message == "" {
		return f.code
	}
	return f.code + ": " + f.message
}

// classify makes an error of the core's kinds. The SDK's own error is not wrapped: its text may quote the request, and with it
// the session's token.
func classify(err error, how effect, what string, redact *strings.Replacer) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() != "" {
		said := &failure{code: api.ErrorCode(), message: readable(api, redact)}
		kind := kindOf(api.ErrorCode(), api.ErrorMessage())
		switch {
		case kind == "" && serverError(err):
			kind = unknownOutcome(how)
		case kind == "": // the service has understood and refused, for a reason that we do not know
			kind = reservation.Retry
		}
		return reservation.Errorf(kind, "%s: AWS says %w%s", what, said, advice(kind, api.ErrorCode()))
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return reservation.Errorf(unknownOutcome(how), "%s: %w", what, ended)
		}
	}
	var lost *url.Error
	if errors.As(err, &lost) {
		return reservation.Errorf(unknownOutcome(how), "%s: no answer from AWS: %s", what, redact.Replace(lost.Err.Error()))
	}
	return reservation.Errorf(unknownOutcome(how), "%s: AWS did not answer as expected: %s", what, redact.Replace(innermost(err).Error()))
}

// advice says what would be right, for what a person has to mend.
func advice(kind reservation.Kind, code string) string {
	switch {
	case kind == reservation.Unauthorized && (strings.HasPrefix(code, "Unauthorized") || strings.HasPrefix(code, "AccessDenied")):
		return "; grant the permissions of docs/ipam/aws.md"
	case kind == reservation.Unauthorized:
		return "; renew the credentials in the Secret"
	case kind == reservation.Quota:
		return "; raise the quota in AWS's Service Quotas"
	case strings.HasPrefix(code, "InvalidIpamPoolId"):
		return "; check the pool's ID, its locale (the backend's region) and that it is shared with the account"
	}
	return ""
}

func unknownOutcome(how effect) reservation.Kind {
	if how == writes {
		return reservation.Ambiguous
	}
	return reservation.Retry
}

func serverError(err error) bool {
	var response *awshttp.ResponseError
	return errors.As(err, &response) && response.HTTPStatusCode() >= 500
}

// readable is the part of a message that helps: a signature's mismatch quotes the request's headers, and a refusal has a long
// encoded appendix.
func readable(api smithy.APIError, redact *strings.Replacer) string {
	switch api.ErrorCode() {
	case "SignatureDoesNotMatch", "IncompleteSignature":
		return "the request's signature is not that of the access key; check secretAccessKey"
	}
	message, _, _ := strings.Cut(api.ErrorMessage(), "Encoded authorization failure message")
	message = strings.TrimRight(redact.Replace(message), " .,")
	if cut := []rune(message); len(cut) > 500 {
		message = string(cut[:500]) + "…"
	}
	return message
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// isGone tells whether an error says that the allocation does not exist.
func isGone(err error) bool {
	var f *failure
	return errors.As(err, &f) && (slices.Contains(gone, f.code) || strings.Contains(f.message, noAllocation))
}
