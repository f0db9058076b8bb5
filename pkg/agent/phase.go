// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/announce"
)

const annotationDomain = "ipv6.networking.extensions.gardener.cloud/"

// AnnotationRouterID on a node is the router ID that a person gives it, four numbers as in 192.0.2.1, where the one that is made of its
// address or name collides with another node's.
const AnnotationRouterID = annotationDomain + "router-id"

const (
	// taintToBeDeleted is what the cluster autoscaler puts on a node that it has begun to drain for its deletion.
	taintToBeDeleted = "ToBeDeletedByClusterAutoscaler"
	// conditionTerminating is what Gardener's machine-controller-manager sets before it drains the node of a machine that is deleted.
	conditionTerminating corev1.NodeConditionType = "Terminating"
	// shuttingDown is part of kubelet's message in the condition Ready while it ends pods because the machine shuts down (KEP-2000).
	shuttingDown = "node is shutting down"
)

// ofNodesEnd tells whether a condition says that the node ends. Of others it is of no interest what they say.
func ofNodesEnd(c corev1.NodeCondition) bool {
	switch c.Type {
	case conditionTerminating:
		return c.Status == corev1.ConditionTrue
	case corev1.NodeReady:
		return c.Status == corev1.ConditionFalse && strings.Contains(c.Message, shuttingDown)
	}
	return false
}

// phaseOf a node. One that is merely cordoned stays: it may have been for a look at it, and its pods serve on.
func phaseOf(n *corev1.Node) announce.Phase {
	doomed := func(t corev1.Taint) bool { return t.Key == taintToBeDeleted }
	if n.DeletionTimestamp != nil || slices.ContainsFunc(n.Spec.Taints, doomed) || slices.ContainsFunc(n.Status.Conditions, ofNodesEnd) {
		return announce.Draining
	}
	return "" // announce.Staying
}
