// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package objectipam

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// Classify gives an API server's error a kind and says what was being done.
func Classify(err error, doing string) error {
	if err == nil {
		return nil
	}
	var classified *reservation.Error
	if errors.As(err, &classified) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return reservation.Errorf(kind(err), "%s: %w", doing, err)
}

// classifyWrite is Classify for a call that changes something: it may have done so although it failed.
func classifyWrite(err error, doing string) error {
	if err != nil && uncertain(err) {
		return reservation.Errorf(reservation.Ambiguous, "%s: %w", doing, err)
	}
	return Classify(err, doing)
}

func kind(err error) reservation.Kind {
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reservation.Retry
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return reservation.Quota
	case apierrors.IsUnauthorized(err), apierrors.IsForbidden(err):
		return reservation.Unauthorized
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err),
		apierrors.IsMethodNotSupported(err):
		return reservation.Invalid
	}
	return reservation.Retry
}

// uncertain tells whether a failed call may have taken effect: the API server gave up waiting, or did not answer at all.
func uncertain(err error) bool {
	var (
		classified *reservation.Error
		status     apierrors.APIStatus
	)
	switch {
	case errors.As(err, &classified):
		return false
	case !errors.As(err, &status):
		return !meta.IsNoMatchError(err)
	}
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsInternalError(err) || apierrors.IsUnexpectedServerError(err)
}
