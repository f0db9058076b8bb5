// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package announce

import "fmt"

// Reason of a problem, for machines.
type Reason string

// The reasons.
const (
	RouterIDCollision    Reason = "RouterIDCollision"
	PeerWithoutAddress   Reason = "PeerWithoutAddress"
	PeerWithoutInterface Reason = "PeerWithoutInterface"
	PeerWithoutFamily    Reason = "PeerWithoutFamily"
	PeerIsThisNode       Reason = "PeerIsThisNode"
	PeerTwice            Reason = "PeerTwice"
	PasswordMissing      Reason = "PasswordMissing"
	PasswordTooLong      Reason = "PasswordTooLong"
	GatewayUnknown       Reason = "GatewayUnknown"
	AddressNotAllowed    Reason = "AddressNotAllowed"
)

// Problem is something that a person should know of. The rest of the decision stands.
type Problem struct {
	Reason Reason
	// Object that it is about: "Node NAME", "Service NAMESPACE/NAME", "peer ADDRESS".
	Object string
	// Message continues a sentence that begins with Object.
	Message string
}

// String is the whole sentence.
func (p Problem) String() string { return p.Object + " " + p.Message }

func (d *decision) problem(reason Reason, object, format string, args ...any) {
	d.problems[Problem{reason, object, fmt.Sprintf(format, args...)}] = true
}
