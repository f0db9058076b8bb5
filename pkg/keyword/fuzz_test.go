// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package keyword_test

import (
	"errors"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
)

// FuzzText parses any text: what is accepted prints to a text that means the same, and what is not has its mistakes inside it.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		"v6global/64+prefix/96", "v4private, v6fromNode/100", "custom,nov4", "2001:db8::/32+nodeCidr/64", "globalIPv6", "v6globel /+prefix/,,",
		"::ffff:1.2.3.4/128", "fe80::1%x/3", " \t", "é,\x00/\xff+",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range keyword.Names() {
			r, err := keyword.Parse(name, text)
			if err != nil {
				checkMistakes(t, text, err)
				continue
			}
			again, err := keyword.Parse(name, r.String())
			if err != nil {
				t.Fatalf("%s: %q prints as %q, which has mistakes: %v", name, text, r, err)
			}
			if !reflect.DeepEqual(again, r) || again.String() != r.String() {
				t.Fatalf("%s: %q is %#v and prints as %q, which is %#v", name, text, r, r, again)
			}
		}
	})
}

func checkMistakes(t *testing.T, text string, err error) {
	t.Helper()
	var list keyword.ErrorList
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("%q: %v is no list of mistakes", text, err)
	}
	if list[0].Rule == "too-long" {
		return
	}
	for _, e := range list {
		if e.Text != text || e.Pos < 0 || e.End < e.Pos || e.End > len(text) || e.Msg == "" || e.Rule == "" {
			t.Fatalf("%q: mistake %#v", text, e)
		}
		if caret := e.Caret(""); caret != "" {
			lines := strings.Split(caret, "\n")
			if len(lines) != 2 || !strings.Contains(lines[1], "^") {
				t.Fatalf("%q: caret %q", text, caret)
			}
		}
	}
}

// FuzzValues builds valid ranges from parts: they print to what was built and parse to the same.
func FuzzValues(f *testing.F) {
	f.Add(uint8(0), uint8(64), uint8(96), []byte{0x20, 1}, uint8(3), false)
	f.Add(uint8(4), uint8(0), uint8(30), []byte{10}, uint8(1), true)
	f.Fuzz(func(t *testing.T, word, size, nodePrefix uint8, addr []byte, other uint8, swap bool) {
		var v6, v4 keyword.Value
		switch word % 3 {
		case 0:
			v6 = keyword.Value{Word: keyword.V6Global, Size: int(size) % 121}
			if v6.Size < 16 {
				v6.Size = 0
			}
		case 1:
			v6 = keyword.Value{Word: keyword.V6Private, Size: int(size) % 113}
			if v6.Size < 48 {
				v6.Size = 0
			}
		case 2:
			var b [16]byte
			copy(b[:], addr)
			v6.CIDR = netip.PrefixFrom(netip.AddrFrom16(b), int(size)%129).Masked()
			if keyword.Forbidden(v6.CIDR) != "" || v6.CIDR.Addr().Is4In6() {
				t.Skip()
			}
		}
		if n := int(nodePrefix) % 121; n >= v6.Effective(keyword.Nodes) && n > 0 {
			v6.NodePrefix = n
		}
		r := keyword.Range{Values: []keyword.Value{v6}}
		switch other % 3 {
		case 1:
			v4 = keyword.Value{Word: keyword.V4Private}
			r.Values = append(r.Values, v4)
		case 2:
			r.Values = append(r.Values, keyword.Value{Word: keyword.NoV4})
		}
		if swap && len(r.Values) == 2 {
			r.Values[0], r.Values[1] = r.Values[1], r.Values[0]
		}
		got, err := keyword.Parse(keyword.Nodes, r.String())
		if err != nil {
			t.Fatalf("%#v prints as %q: %v", r, r, err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("%#v prints as %q, which is %#v", r, r, got)
		}
		spaced := " " + strings.ReplaceAll(r.String(), ",", " ,\t") + " "
		if got, err = keyword.Parse(keyword.Nodes, spaced); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%s: %#v, %v", strconv.Quote(spaced), got, err)
		}
	})
}
