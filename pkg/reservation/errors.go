// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation

import (
	"errors"
	"fmt"
)

// Kind of an error: what to do about it.
type Kind string

// The kinds of errors. Their text is the reason of the condition Bound.
const (
	// Retry: it may work the next time, after a while: a conflict, a time-out, a throttled call.
	Retry Kind = "Retry"
	// Wait: nothing is wrong, but something else must happen first; whoever does it wakes us.
	Wait Kind = "Waiting"
	// Exhausted: the backend has no room left for the request.
	Exhausted Kind = "Exhausted"
	// Quota: the backend has room but does not grant it.
	Quota Kind = "QuotaExceeded"
	// Unauthorized: the credentials do not allow the call.
	Unauthorized Kind = "Unauthorized"
	// Invalid: the request can never be served as it is.
	Invalid Kind = "Invalid"
	// Ambiguous: the call may have succeeded; look before calling again.
	Ambiguous Kind = "Ambiguous"
	// Conflict: somebody else holds the prefix that was to be claimed, or the owner does not match.
	Conflict Kind = "Conflict"
)

// Failed tells whether a person has to change something before a retry can help.
func (k Kind) Failed() bool {
	switch k {
	case Exhausted, Quota, Unauthorized, Invalid, Conflict:
		return true
	case Retry, Wait, Ambiguous:
		return false
	}
	return false
}

// Error carries a Kind.
type Error struct {
	Kind Kind
	Err  error
}

// Error is the sentence a person needs, without the kind.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind; %w wraps a cause as in fmt.Errorf.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// KindOf an error; what nobody classified is worth a retry. Nil has no kind.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Retry
}
