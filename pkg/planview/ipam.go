// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package planview

import (
	"net/netip"
	"strings"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

// IPAM is where a range would be reserved.
type IPAM struct {
	// Backend, its type, and its pools in the order in which they are asked; empty if none serves.
	Backend string   `json:"backend,omitempty"`
	Type    string   `json:"type,omitempty"`
	Pools   []string `json:"pools,omitempty"`
	// Error is what the Shoot's owner reads if none serves, and Reason its kind: Waiting for the infrastructure provider, or
	// Invalid.
	Error  string `json:"error,omitempty"`
	Reason string `json:"reason,omitempty"`
	// PassedOver are the backends before it, in the order in which they are asked, and why they do not serve; all of them if
	// none does.
	PassedOver []Refusal `json:"passedOver,omitempty"`
}

// Refusal is why a backend does not serve.
type Refusal struct {
	Backend string `json:"backend"`
	Why     string `json:"why"`
}

// Chooser knows an operator's configuration, and a Shoot.
type Chooser struct {
	Offers []reservation.Offer
	Place  reservation.Place
	// Backend and Pool that the Shoot names, empty if it leaves the choice to the operator.
	Backend, Pool string
}

// Choose adds to the view of a plan where each of its ranges would be reserved.
func (c Chooser) Choose(v *View, p plan.Plan) {
	for i := range v.Ranges {
		r := &v.Ranges[i]
		for j := range r.Families {
			f := &r.Families[j]
			for _, want := range p.Requests {
				if string(want.Range) == r.Name && want.Family.String() == f.Family {
					f.IPAM = c.choose(want)
				}
			}
		}
	}
}

func (c Chooser) choose(want plan.Request) *IPAM {
	request := reservation.Request{Key: want.Key, Scope: want.Scope, Bits: want.Bits}
	if want.Scope == plan.Global {
		request.Backend, request.Pool = c.Backend, c.Pool
	}
	found := &IPAM{}
	offer, chosen, err := reservation.Choose(c.Offers, c.Place, request)
	if err != nil {
		found.Error, found.Reason = err.Error(), string(reservation.KindOf(err))
	} else {
		found.Backend, found.Type, found.Pools = offer.Backend, offer.Type, chosen.Pools
	}
	for _, o := range c.Offers {
		if o.Backend == found.Backend {
			break
		}
		if _, why := o.Serves(c.Place, request); why != "" && o.Scope == request.Scope {
			found.PassedOver = append(found.PassedOver, Refusal{o.Backend, why})
		}
	}
	return found
}

// String tells the backend and its pools.
func (i IPAM) String() string {
	pools := "pool "
	if len(i.Pools) > 1 {
		pools = "pools "
	}
	pools += strings.Join(i.Pools, ", ")
	switch {
	case i.Backend == "":
		return "none serves it"
	case len(i.Pools) == 0:
		return i.Backend
	case i.Backend == i.Type:
		return "operator's " + pools
	}
	return i.Backend + " (" + i.Type + "), " + pools
}

// from tells behind what is reserved where, "" if the configuration is not known.
func from(i *IPAM) string {
	switch {
	case i == nil:
		return ""
	case i.Backend == "":
		return ", which no backend serves"
	}
	return " from " + i.String()
}

// ipamRows are the lines of a family that tell where it is reserved.
func ipamRows(trunk string, last bool, i *IPAM) []row {
	if i == nil {
		return nil
	}
	branch, below := trunk+"├─ ", trunk+"│  "
	if last {
		branch, below = trunk+"└─ ", trunk+"   "
	}
	first := row{left: branch + "IPAM", middle: i.String()}
	switch {
	case i.Reason == string(reservation.Wait):
		first.right = "it waits for the infrastructure provider to report a range"
	case i.Error != "":
		first.right = "the Shoot gets an error"
	}
	rows := []row{first}
	for n, refusal := range i.PassedOver {
		branch := "├─ "
		if n == len(i.PassedOver)-1 {
			branch = "└─ "
		}
		rows = append(rows, row{left: below + branch + "not " + refusal.Backend, middle: refusal.Why})
	}
	return rows
}

// reservedIn is the line of an explanation that tells where a range would be reserved.
func (c Chooser) reservedIn(p plan.Plan, k plan.Key) []row {
	for _, want := range p.Requests {
		if want.Key == k {
			return []row{{left: "   ├─ IPAM", middle: c.choose(want).String(), right: "as this configuration chooses"}}
		}
	}
	return nil
}

// poolsOf are the lines of an explanation that tell in which of the operator's own pools the address lies.
func (c Chooser) poolsOf(addr netip.Addr) []row {
	var rows []row
	for _, o := range c.Offers {
		for _, pool := range o.Pools {
			for _, cidr := range pool.Prefixes {
				if cidr.Contains(addr) {
					rows = append(rows, row{left: "operator's pool " + pool.Name, middle: cidr.String()})
				}
			}
		}
	}
	return rows
}
