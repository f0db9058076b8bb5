// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ipamcontroller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// attempts to write a node that others, the kubelet above all, write at the same time.
const attempts = 5

// reasonForeignWriter is told of once; the pod ranges may be right, but nobody else knows by which rules they are cut.
const reasonForeignWriter = "PodCIDRsWrittenByOther"

// state of a node as people were told.
type state struct {
	reason  nodeprefix.Reason
	message string
}

// result of a write. A nil state means that it is unchanged.
type result struct {
	state *state
	err   error
}

// write carries out one decision. It runs beside others and changes nothing of the controller's own.
func (c *Controller) write(ctx context.Context, t task) result {
	var want state
	switch t.decision.Verdict {
	case nodeprefix.Assign:
		if err := c.assign(ctx, t.node, t.decision.Assignment); err != nil {
			return result{err: err}
		}
		want = state{reason: nodeprefix.ReasonAssigned}
	case nodeprefix.Keep:
		if t.origin != nodeprefix.FromElsewhere { // such a node is somebody else's to write
			if err := c.annotate(ctx, t.node, t.decision.Assignment); err != nil {
				return result{err: err}
			}
		}
		want = state{reason: nodeprefix.ReasonAssigned}
		if len(t.decision.Problems) > 0 {
			want.reason = t.decision.Problems[0].Reason
			for i, p := range t.decision.Problems {
				if i > 0 {
					want.message += "; "
				}
				want.message += p.Message
			}
		}
	case nodeprefix.Wait:
		want = state{t.decision.Reason, t.decision.Message}
	default:
		return result{}
	}
	had, known := c.states[t.node.Name]
	if known && had == want {
		return result{}
	}
	if err := c.tell(ctx, t.node, want); err != nil {
		return result{err: err}
	}
	if t.decision.Verdict == nodeprefix.Keep && !known && t.origin != nodeprefix.FromElsewhere {
		c.tellOfWriter(t.node)
	}
	return result{state: &want}
}

// assign writes the pod ranges. It insists on the version of the node that it read, and on its having none.
func (c *Controller) assign(ctx context.Context, node *corev1.Node, a nodeprefix.Assignment) error {
	current := node
	for range attempts {
		if current.UID != node.UID || len(current.Spec.PodCIDRs) > 0 {
			return nil // gone, or somebody was faster: the watch brings it back
		}
		changed := current.DeepCopy()
		changed.Spec.PodCIDRs = stringsOf(a.PodCIDRs)
		changed.Spec.PodCIDR = changed.Spec.PodCIDRs[0]
		metav1.SetMetaDataAnnotation(&changed.ObjectMeta, AnnotationNodePrefix, joined(a.Prefixes))
		patch := client.MergeFromWithOptions(current, client.MergeFromWithOptimisticLock{})
		err := c.client.Patch(ctx, changed, patch, client.FieldOwner(Name))
		switch {
		case err == nil:
			c.metrics.latency.Observe(c.now().Sub(node.CreationTimestamp.Time).Seconds())
			c.log.Info("Assigned", "node", node.Name, "prefixes", joined(a.Prefixes), "podCIDRs", joined(a.PodCIDRs))
			return nil
		case apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsConflict(err):
			return fmt.Errorf("write the podCIDRs of node %s: %w", node.Name, err)
		}
		current = &corev1.Node{}
		if err := c.live.Get(ctx, client.ObjectKeyFromObject(node), current); err != nil {
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("read node %s again: %w", node.Name, err)
		}
	}
	return fmt.Errorf("write the podCIDRs of node %s: it changed %d times in a row", node.Name, attempts)
}

// annotate writes the prefix for people, on nodes that lack it or where somebody changed it.
func (c *Controller) annotate(ctx context.Context, node *corev1.Node, a nodeprefix.Assignment) error {
	if node.Annotations[AnnotationNodePrefix] == joined(a.Prefixes) {
		return nil
	}
	changed := node.DeepCopy()
	metav1.SetMetaDataAnnotation(&changed.ObjectMeta, AnnotationNodePrefix, joined(a.Prefixes))
	if err := c.client.Patch(ctx, changed, client.MergeFrom(node), client.FieldOwner(Name)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("annotate node %s: %w", node.Name, err)
	}
	return nil
}

// tell makes a change of state visible: as a condition, which stays, and as an event. A node without trouble gets neither.
func (c *Controller) tell(ctx context.Context, node *corev1.Node, s state) error {
	if s.reason.Usual() {
		return nil
	}
	condition := corev1.NodeCondition{
		Type: ConditionPodCIDRsAssigned, Status: corev1.ConditionTrue, Reason: string(s.reason), Message: s.message,
		LastTransitionTime: metav1.NewTime(c.now()), LastHeartbeatTime: metav1.NewTime(c.now()),
	}
	i := slices.IndexFunc(node.Status.Conditions, func(n corev1.NodeCondition) bool { return n.Type == ConditionPodCIDRsAssigned })
	if s.reason == nodeprefix.ReasonAssigned {
		if i < 0 {
			return nil
		}
	} else {
		condition.Status = corev1.ConditionFalse
		c.metrics.problems.WithLabelValues(string(s.reason)).Inc()
		c.recorder.Eventf(node, nil, corev1.EventTypeWarning, string(s.reason), "AssignPodCIDRs", "%s", s.message)
	}
	changed := node.DeepCopy()
	if i < 0 {
		changed.Status.Conditions = append(changed.Status.Conditions, condition)
	} else {
		old := node.Status.Conditions[i]
		if old.Status == condition.Status {
			condition.LastTransitionTime = old.LastTransitionTime
			if old.Reason == condition.Reason && old.Message == condition.Message {
				return nil
			}
		}
		changed.Status.Conditions[i] = condition
	}
	// A strategic merge touches this one condition, whoever writes the others.
	if err := c.client.Status().Patch(ctx, changed, client.StrategicMergeFrom(node), client.FieldOwner(Name)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the condition of node %s: %w", node.Name, err)
	}
	return nil
}

// tellOfWriter says so if the pod ranges came from somebody else: we write them and the annotation in one request.
func (c *Controller) tellOfWriter(node *corev1.Node) {
	if _, ours := node.Annotations[AnnotationNodePrefix]; ours {
		return
	}
	c.metrics.problems.WithLabelValues(reasonForeignWriter).Inc()
	c.recorder.Eventf(node, nil, corev1.EventTypeWarning, reasonForeignWriter, "AssignPodCIDRs",
		"the pod ranges %s were not written by %s; if kube-controller-manager writes them, start it with --allocate-node-cidrs=false",
		joined(nodeOf(node).PodCIDRs), Name)
}
