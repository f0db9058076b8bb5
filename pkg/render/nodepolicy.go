// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strconv"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
)

// NodePolicyName names the policy and its binding.
const NodePolicyName = AgentName + "-own-node"

// agentUser is whom the API server takes the agent for.
const agentUser = "system:serviceaccount:" + metav1.NamespaceSystem + ":" + AgentName

// NodePolicyObjects keep the agent's ServiceAccount to what it needs of Node objects: RBAC cannot tell one node from another, so that
// whoever takes over one node could speak for all. A pod's token names the node that the pod runs on (KEP-4193).
func NodePolicyObjects() []client.Object {
	meta := metav1.ObjectMeta{Name: NodePolicyName, Labels: agentLabels()}
	return []client.Object{
		&admissionregistrationv1.ValidatingAdmissionPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
			ObjectMeta: meta,
			Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				FailurePolicy: ptr.To(admissionregistrationv1.Fail),
				MatchConstraints: &admissionregistrationv1.MatchResources{
					ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
						Operations: []admissionregistrationv1.OperationType{
							admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete,
						},
						Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"nodes", "nodes/status"}},
					}}},
				},
				// Nobody else's requests are looked at, so that no mistake in here can stop a kubelet.
				MatchConditions: []admissionregistrationv1.MatchCondition{{
					Name: "agent", Expression: "request.userInfo.username == " + strconv.Quote(agentUser),
				}},
				Variables:   nodePolicyVariables(),
				Validations: nodePolicyValidations(),
			},
		},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
			ObjectMeta: meta,
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName:        NodePolicyName,
				ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			},
		},
	}
}

func nodePolicyVariables() []admissionregistrationv1.Variable {
	const claim = "authentication.kubernetes.io/node-name"
	return []admissionregistrationv1.Variable{
		{Name: "node", Expression: fmt.Sprintf("has(request.userInfo.extra) && %[1]q in request.userInfo.extra ? request.userInfo.extra[%[1]q][0] : ''", claim)},
		// A generated name, or a collection, has none here.
		{Name: "name", Expression: "has(request.name) ? request.name : ''"},
		{Name: "update", Expression: "request.operation == 'UPDATE' && (!has(request.subResource) || request.subResource == '')"},
		{Name: "own", Expression: fmt.Sprintf("[%q, %q]", nodeprefix.AnnotationReportedPrefix, nodeprefix.AnnotationPrefixSource)},
		{Name: "before", Expression: "oldObject.metadata.?annotations.orValue({})"},
		{Name: "after", Expression: "object.metadata.?annotations.orValue({})"},
	}
}

func nodePolicyValidations() []admissionregistrationv1.Validation {
	deny := func(unless, message string) admissionregistrationv1.Validation {
		return admissionregistrationv1.Validation{Expression: unless, Message: message, Reason: ptr.To(metav1.StatusReasonForbidden)}
	}
	same := func(field, empty string) string {
		return fmt.Sprintf("!variables.update || object.metadata.?%[1]s.orValue(%[2]s) == oldObject.metadata.?%[1]s.orValue(%[2]s)", field, empty)
	}
	name := deny("variables.node == '' || variables.node == variables.name", "the agent may change the Node that it runs on only")
	name.MessageExpression = "'the token belongs to a pod on node ' + variables.node + ', and may change that Node only, not ' + (variables.name == '' ? 'others' : variables.name)"
	return []admissionregistrationv1.Validation{
		deny("variables.node != ''", "the token does not say which node its pod runs on: the agent's must be bound to its pod"),
		name,
		deny("variables.update", "the agent may change two annotations of its Node, and neither create nor delete it nor write its status"),
		deny("!variables.update || object.spec == oldObject.spec", "the agent may not change the spec of its Node"),
		deny(same("labels", "{}"), "the agent may not change labels of its Node"),
		deny(same("finalizers", "[]"), "the agent may not change finalizers of its Node"),
		deny(same("ownerReferences", "[]"), "the agent may not change owners of its Node"),
		deny("!variables.update || variables.after.all(k, k in variables.own || k in variables.before && variables.before[k] == variables.after[k])"+
			" && variables.before.all(k, k in variables.own || k in variables.after)",
			"the agent may change no annotations of its Node but "+nodeprefix.AnnotationReportedPrefix+" and "+nodeprefix.AnnotationPrefixSource),
	}
}
