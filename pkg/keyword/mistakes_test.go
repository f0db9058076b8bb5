// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword_test

import (
	"errors"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// TestMistakes holds what a user reads for every rule of one range. Lines are indented for the sake of this file.
func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		name keyword.Name
		text string
		want string
	}{
		// Words.
		{nodes, "v6globel", `
			nodes: unknown word "v6globel"; did you mean "v6global"?
			    v6globel
			    ^^^^^^^^`},
		{pods, "v6fromnode/100", `
			pods: unknown word "v6fromnode"; did you mean "v6fromNode"?
			    v6fromnode/100
			    ^^^^^^^^^^`},
		{services, "globalIpv6", `
			services: unknown word "globalIpv6"; did you mean "v6global"?
			    globalIpv6
			    ^^^^^^^^^^`},
		{pods, "fromNode", `
			pods: unknown word "fromNode"; did you mean "v6fromNode"?
			    fromNode
			    ^^^^^^^^`},
		{nodes, "kubernetes", `
			nodes: unknown word "kubernetes" (nodes knows v6global, v6private, v4private, custom, nov4, nov6 and CIDRs); did you mean "v6private"?
			    kubernetes
			    ^^^^^^^^^^`},
		{nodes, "", `
			nodes: the range is empty; leave it out, or write for example v6global/64+prefix/96`},
		{services, "  ", `
			services: the range is empty; leave it out, or write for example v6global/64
			      
			    ^^`},
		{nodes, "+prefix/96", `
			nodes: a word or a CIDR is missing here; write for example v6global/64+prefix/96
			    +prefix/96
			    ^`},
		{pods, "/64", `
			pods: a word or a CIDR is missing here; write for example v6fromNode
			    /64
			    ^`},
		// Where words are allowed.
		{nodes, "v6fromNode", `
			nodes: v6fromNode belongs to pods only; write for example v6global/64+prefix/96
			    v6fromNode
			    ^^^^^^^^^^`},
		{services, "v4fromNode", `
			services: v4fromNode belongs to pods only; write for example v6global/64
			    v4fromNode
			    ^^^^^^^^^^`},
		{pods, "v6global/64+prefix/96", `
			pods: +prefix belongs to a value of nodes, not of pods
			    v6global/64+prefix/96
			               ^^^^^^^^^^`},
		{services, "v6global+prefix", `
			services: +prefix belongs to a value of nodes, not of services
			    v6global+prefix
			            ^^^^^^^`},
		{nodes, "nov6+prefix/96", `
			nodes: nov6 takes no +prefix
			    nov6+prefix/96
			        ^^^^^^^^^^`},
		// Sizes and their bounds.
		{nodes, "v4private/16", `
			nodes: v4private takes no size: the range is always 10.250.0.0/16; write v4private, or a CIDR of your own
			    v4private/16
			             ^^^`},
		{pods, "custom/64", `
			pods: custom takes no size; write custom
			    custom/64
			          ^^^`},
		{pods, "nov4/8", `
			pods: nov4 takes no size; write nov4
			    nov4/8
			        ^^`},
		{nodes, "v6global/15", `
			nodes: the size of v6global lies between /16 and /120, not /15
			    v6global/15
			             ^^`},
		{services, "v6global/121", `
			services: the size of v6global lies between /16 and /120, not /121
			    v6global/121
			             ^^^`},
		{pods, "v6private/47", `
			pods: the size of v6private lies between /48 and /112, not /47
			    v6private/47
			              ^^`},
		{pods, "v6private/113", `
			pods: the size of v6private lies between /48 and /112, not /113
			    v6private/113
			              ^^^`},
		{pods, "v4fromNode/33", `
			pods: the size of v4fromNode lies between /1 and /32, not /33
			    v4fromNode/33
			               ^^`},
		{pods, "v6fromNode/0", `
			pods: the size of v6fromNode lies between /1 and /128, not /0
			    v6fromNode/0
			               ^`},
		{nodes, "v6global/+64", `
			nodes: a size is missing behind /; write /64, say
			    v6global/+64
			            ^
			nodes: unknown modifier "64"; did you mean "prefix"?
			    v6global/+64
			              ^^`},
		{nodes, "v6global/-64", `
			nodes: "-64" is no size; a size is a decimal number without a sign
			    v6global/-64
			             ^^^`},
		{nodes, "v6global/064", `
			nodes: a size has no leading zero; write 64
			    v6global/064
			             ^^^`},
		{nodes, "v6global/0x40", `
			nodes: "0x40" is no size; a size is a decimal number without a sign
			    v6global/0x40
			             ^^^^`},
		{nodes, "v6global/129", `
			nodes: a size is at most 128, the number of bits of an IPv6 address
			    v6global/129
			             ^^^`},
		{nodes, "v6global/18446744073709551680", `
			nodes: a size is at most 128, the number of bits of an IPv6 address
			    v6global/18446744073709551680
			             ^^^^^^^^^^^^^^^^^^^^`},
		{nodes, "v6global/", `
			nodes: a size is missing behind /; write /64, say
			    v6global/
			            ^`},
		{nodes, "v6global/64/96", `
			nodes: only one size is allowed
			    v6global/64/96
			               ^^^`},
		// The modifier.
		{nodes, "v6global+prefix", `
			nodes: +prefix needs a size; write +prefix/96, say
			    v6global+prefix
			            ^^^^^^^`},
		{nodes, "v6global+", `
			nodes: a modifier is missing behind +; write +prefix/96, say
			    v6global+
			            ^`},
		{nodes, "v6global+prefx/96", `
			nodes: unknown modifier "prefx"; did you mean "prefix"?
			    v6global+prefx/96
			             ^^^^^`},
		{nodes, "v6global+prefix/96+prefix/97", `
			nodes: +prefix is given twice
			    v6global+prefix/96+prefix/97
			                      ^^^^^^^^^^`},
		{nodes, "v6global+prefix/63", `
			nodes: the size of +prefix lies between its range's size /64 and /120, not /63
			    v6global+prefix/63
			                    ^^`},
		{nodes, "v6global+prefix/121", `
			nodes: the size of +prefix lies between its range's size /64 and /120, not /121
			    v6global+prefix/121
			                    ^^^`},
		{nodes, "v4private+prefix/31", `
			nodes: the size of +prefix lies between its range's size /16 and /30, not /31
			    v4private+prefix/31
			                     ^^`},
		{nodes, "10.0.0.0/24+prefix/23", `
			nodes: the size of +prefix lies between its range's size /24 and /30, not /23
			    10.0.0.0/24+prefix/23
			                       ^^`},
		{nodes, "2001:db8::/124+prefix/124", `
			nodes: a range of /124 is too small for +prefix, which is at most /120
			    2001:db8::/124+prefix/124
			                  ^^^^^^^^^^^`},
		{nodes, "custom+prefix/121", `
			nodes: the size of +prefix lies between /1 and /120, not /121
			    custom+prefix/121
			                  ^^^`},
		{nodes, "custom+prefix/96,nov6", `
			nodes: nov6 leaves only IPv4 to custom, and the size of +prefix is then at most /30, not /96
			    custom+prefix/96,nov6
			    ^^^^^^^^^^^^^^^^`},
		// CIDRs.
		{nodes, "2001:db8::1/64", `
			nodes: 2001:db8::1/64 has bits set behind its size; the canonical form is 2001:db8::/64
			    2001:db8::1/64
			    ^^^^^^^^^^^^^^`},
		{services, "10.1.2.3/16", `
			services: 10.1.2.3/16 has bits set behind its size; the canonical form is 10.1.0.0/16
			    10.1.2.3/16
			    ^^^^^^^^^^^`},
		{nodes, "2001:db8::", `
			nodes: a CIDR needs a size; write for example 2001:db8::/64
			    2001:db8::
			    ^^^^^^^^^^`},
		{nodes, "10.0.0.0", `
			nodes: a CIDR needs a size; write for example 10.0.0.0/16
			    10.0.0.0
			    ^^^^^^^^`},
		{nodes, "2001:db8:::/64", `
			nodes: "2001:db8:::" is no IP address
			    2001:db8:::/64
			    ^^^^^^^^^^^`},
		{nodes, "10.0.0.0/33", `
			nodes: the size of an IPv4 CIDR is at most /32, not /33
			    10.0.0.0/33
			             ^^`},
		{nodes, "2001:db8::%eth0/64", `
			nodes: a range has no zone; write 2001:db8::
			    2001:db8::%eth0/64
			    ^^^^^^^^^^^^^^^`},
		{nodes, "fe80::/64", `
			nodes: fe80::/64 holds link-local addresses, which can be nobody's nodes
			    fe80::/64
			    ^^^^^^^^^`},
		{pods, "169.254.0.0/16", `
			pods: 169.254.0.0/16 holds link-local addresses, which can be nobody's pods
			    169.254.0.0/16
			    ^^^^^^^^^^^^^^`},
		{services, "ff00::/8", `
			services: ff00::/8 holds multicast addresses, which can be nobody's services
			    ff00::/8
			    ^^^^^^^^`},
		{services, "224.0.0.0/4", `
			services: 224.0.0.0/4 holds multicast addresses, which can be nobody's services
			    224.0.0.0/4
			    ^^^^^^^^^^^`},
		{nodes, "::1/128", `
			nodes: ::1/128 holds loopback addresses, which can be nobody's nodes
			    ::1/128
			    ^^^^^^^`},
		{nodes, "127.0.0.0/8", `
			nodes: 127.0.0.0/8 holds loopback addresses, which can be nobody's nodes
			    127.0.0.0/8
			    ^^^^^^^^^^^`},
		{nodes, "::/0", `
			nodes: ::/0 holds unspecified addresses, which can be nobody's nodes
			    ::/0
			    ^^^^`},
		{nodes, "0.0.0.0/0", `
			nodes: 0.0.0.0/0 holds unspecified addresses, which can be nobody's nodes
			    0.0.0.0/0
			    ^^^^^^^^^`},
		{nodes, "::ffff:10.0.0.0/104", `
			nodes: ::ffff:10.0.0.0/104 is an IPv4-mapped range; write 10.0.0.0/8
			    ::ffff:10.0.0.0/104
			    ^^^^^^^^^^^^^^^^^^^`},
		{nodes, "fe80::1/9", `
			nodes: fe80::1/9 has bits set behind its size; the canonical form is fe80::/9
			    fe80::1/9
			    ^^^^^^^^^
			nodes: fe80::/9 holds link-local addresses, which can be nobody's nodes
			    fe80::1/9
			    ^^^^^^^^^`},
		// Blanks and commas.
		{nodes, "v6global /64", `
			nodes: no blank is allowed inside a value; blanks may stand around the comma and at both ends
			    v6global /64
			            ^`},
		{nodes, "v6global v4private", `
			nodes: a comma is missing between two values; write "v6global,v4private"
			    v6global v4private
			            ^`},
		{nodes, "v6global,", `
			nodes: a value is missing beside the comma; write one value for each family, or no comma
			    v6global,
			             ^`},
		{nodes, ",v6global", `
			nodes: a value is missing beside the comma; write one value for each family, or no comma
			    ,v6global
			    ^`},
		{nodes, "\tv6global\n", "\n" + `
			nodes: unknown word "v6global\n"; did you mean "v6global"?
			    ` + "\tv6global\uFFFD" + `
			    ` + "\t^^^^^^^^^"},
		// Rule 1.
		{nodes, "v6global,v6private", `
			nodes: v6global and v6private are both IPv6 values; a range has at most one value a family
			    v6global,v6private
			             ^^^^^^^^^`},
		{pods, "v4private,10.0.0.0/8", `
			pods: v4private and 10.0.0.0/8 are both IPv4 values; a range has at most one value a family
			    v4private,10.0.0.0/8
			              ^^^^^^^^^^`},
		{services, "v4private,v6global,v6global/64", `
			services: v6global and v6global/64 are both IPv6 values; a range has at most one value a family
			    v4private,v6global,v6global/64
			                       ^^^^^^^^^^^`},
		{nodes, "custom,v6global", `
			nodes: custom stands alone, or beside nov4 or nov6, not beside v6global
			    custom,v6global
			           ^^^^^^^^`},
		{nodes, "custom,custom", `
			nodes: custom is given twice
			    custom,custom
			           ^^^^^^`},
		{nodes, "nov4,nov4", `
			nodes: nov4 is given twice
			    nov4,nov4
			         ^^^^`},
		{nodes, "custom,nov4,nov6", `
			nodes: nov4 and nov6 leave no family for custom; leave out one of the two
			    custom,nov4,nov6
			    ^^^^^^`},
		// Rule 2.
		{pods, "nov6,v6global", `
			pods: nov6 says that the range has no IPv6, but v6global gives it some; leave out one of the two
			    nov6,v6global
			    ^^^^`},
		{pods, "v4private,nov4", `
			pods: nov4 says that the range has no IPv4, but v4private gives it some; leave out one of the two
			    v4private,nov4
			              ^^^^`},
		// All of them at once, in the order of the text.
		{nodes, "v6globl/8+prefx/9,v4private/3,fe80::/9", `
			nodes: unknown word "v6globl"; did you mean "v6global"?
			    v6globl/8+prefx/9,v4private/3,fe80::/9
			    ^^^^^^^
			nodes: unknown modifier "prefx"; did you mean "prefix"?
			    v6globl/8+prefx/9,v4private/3,fe80::/9
			              ^^^^^
			nodes: v4private takes no size: the range is always 10.250.0.0/16; write v4private, or a CIDR of your own
			    v6globl/8+prefx/9,v4private/3,fe80::/9
			                               ^^
			nodes: fe80::/9 holds link-local addresses, which can be nobody's nodes
			    v6globl/8+prefx/9,v4private/3,fe80::/9
			                                  ^^^^^^^^`},
	} {
		t.Run(string(tc.name)+" "+tc.text, func(t *testing.T) {
			g := NewWithT(t)
			_, err := keyword.Parse(tc.name, tc.text)
			g.Expect(err).To(HaveOccurred())
			want := strings.ReplaceAll(strings.TrimLeft(tc.want, "\n"), "\n\t\t\t", "\n")
			g.Expect(err.Error()).To(Equal(strings.TrimPrefix(want, "\t\t\t")))
		})
	}
}

func TestErrorsCanBeTakenApart(t *testing.T) {
	g := NewWithT(t)
	_, err := keyword.Parse(pods, "v6globel, v6fromNode/129")
	var list keyword.ErrorList
	g.Expect(errors.As(err, &list)).To(BeTrue())
	g.Expect(list).To(Equal(keyword.ErrorList{
		{Range: pods, Text: "v6globel, v6fromNode/129", Pos: 0, End: 8, Rule: "unknown-word", Msg: `unknown word "v6globel"`, Suggestion: `did you mean "v6global"?`},
		{Range: pods, Text: "v6globel, v6fromNode/129", Pos: 21, End: 24, Rule: "size", Msg: "a size is at most 128, the number of bits of an IPv6 address"},
	}))
	var one keyword.Error
	g.Expect(errors.As(err, &one)).To(BeTrue())
	g.Expect(one.Rule).To(Equal("unknown-word"))
}

func TestLongTextsAreNotLookedAt(t *testing.T) {
	_, err := keyword.Parse(pods, strings.Repeat(",", 1_000_000))
	NewWithT(t).Expect(err).To(MatchError("pods: the text is 1000000 bytes long, more than 512; write for example v6fromNode"))
}

func TestParseOfAnotherRange(t *testing.T) {
	_, err := keyword.Parse("loadbalancers", "v6global")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring(`there is no range "loadbalancers"; the ranges are nodes, pods and services`)))
}
