// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package lbcontroller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/lbip"
)

// result of a write.
type result struct {
	// reason for metrics; empty if the Service is none of ours.
	reason lbip.Reason
	// written is the Service as it was written, nil if there was nothing to write.
	written *corev1.Service
	err     error
}

// write carries out one decision. It insists on the version that was decided on: that is what makes a claim void once the Service has
// another. It runs beside others and changes nothing of the controller's own.
func (c *Controller) write(ctx context.Context, t task) result {
	r := result{}
	changed := t.service.DeepCopy()
	if t.decision.Verdict != lbip.Ignore {
		r.reason = lbip.ReasonAllocated
		if len(t.decision.Problems) > 0 {
			r.reason = t.decision.Problems[0].Reason
		}
	}
	if t.decision.Verdict == lbip.Assign {
		changed.Status.LoadBalancer.Ingress = nil
		for _, a := range t.decision.Addresses {
			changed.Status.LoadBalancer.Ingress = append(changed.Status.LoadBalancer.Ingress,
				corev1.LoadBalancerIngress{IP: a.String(), IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})
		}
	}
	told := c.condition(changed, t.decision)
	if !told && t.decision.Verdict != lbip.Assign {
		return r
	}
	patch := client.StrategicMergeFrom(t.service, client.MergeFromWithOptimisticLock{})
	err := c.client.Status().Patch(ctx, changed, patch, client.FieldOwner(Name))
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return r // gone, or changed: the watch brings it back
	case err != nil:
		r.err = fmt.Errorf("write the status of Service %s: %w", nameOf(t.service), err)
		return r
	}
	r.written = changed
	c.tell(changed, t.decision, told)
	return r
}

// condition brings ours up to date and tells whether it changed. A Service without trouble gets none.
func (c *Controller) condition(svc *corev1.Service, d lbip.Decision) bool {
	if d.Verdict == lbip.Ignore {
		// Of another class, the status is somebody else's.
		return svc.Spec.Type != corev1.ServiceTypeLoadBalancer && meta.RemoveStatusCondition(&svc.Status.Conditions, ConditionAllocated)
	}
	condition := metav1.Condition{
		Type: ConditionAllocated, Status: metav1.ConditionTrue, Reason: string(lbip.ReasonAllocated), LastTransitionTime: metav1.NewTime(c.now()),
	}
	if d.Verdict == lbip.Wait {
		condition.Status = metav1.ConditionFalse
	}
	for i, p := range d.Problems {
		if i == 0 {
			condition.Reason, condition.Message = string(p.Reason), p.Message
			continue
		}
		condition.Message += "; " + p.Message
	}
	if len(d.Problems) == 0 && meta.FindStatusCondition(svc.Status.Conditions, ConditionAllocated) == nil {
		return false
	}
	return meta.SetStatusCondition(&svc.Status.Conditions, condition)
}

// tell people of what was written.
func (c *Controller) tell(svc *corev1.Service, d lbip.Decision, condition bool) {
	if d.Verdict == lbip.Assign {
		c.metrics.latency.Observe(c.now().Sub(svc.CreationTimestamp.Time).Seconds())
		c.log.Info("Allocated", "service", nameOf(svc), "addresses", joined(d.Addresses))
		c.recorder.Eventf(svc, nil, corev1.EventTypeNormal, string(lbip.ReasonAllocated), "AllocateAddresses", "the Service has %s", joined(d.Addresses))
	}
	if !condition {
		return
	}
	for _, p := range d.Problems {
		c.metrics.problems.WithLabelValues(string(p.Reason)).Inc()
		c.recorder.Eventf(svc, nil, corev1.EventTypeWarning, string(p.Reason), "AllocateAddresses", "%s", p.Message)
	}
}
