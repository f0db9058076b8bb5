// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
)

// gcpLength is the length of every prefix that Compute Engine reserves in a subnetwork, in bits.
const gcpLength int32 = 96

// account tells pools of services apart.
type account struct {
	kind                                v1alpha1.BackendType
	endpoint, region, secret, namespace string
	pool                                string
}

func validateBackendPools(backend v1alpha1.Backend, known map[account]*field.Path, path *field.Path) field.ErrorList {
	if len(backend.Pools) == 0 {
		return field.ErrorList{field.Required(path, "a backend needs at least one pool of the service to take prefixes from")}
	}
	var (
		errs  field.ErrorList
		names = map[string]bool{}
	)
	for i, pool := range backend.Pools {
		path := path.Index(i)
		errs = append(errs, validateName(pool.Name, "pool", names, path.Child("name"))...)
		errs = append(errs, validateSelector(pool.Selector, path)...)
		errs = append(errs, validateWithin(backend, pool, path)...)
		errs = append(errs, validateBackendLengths(backend.Type, pool, path)...)

		path = path.Child("id")
		if err := validateID(backend.Type, pool.ID, path); err != nil {
			errs = append(errs, err)
			continue
		}
		a := account{
			kind: backend.Type, endpoint: ptr.Deref(backend.Endpoint, ""), region: ptr.Deref(backend.Region, ""),
			secret: ptr.Deref(backend.SecretName, ""), namespace: ptr.Deref(backend.Namespace, ""), pool: pool.ID,
		}
		if other := known[a]; other != nil {
			errs = append(errs, field.Invalid(path, pool.ID, fmt.Sprintf("is the pool of %s already: what is held there would be counted twice; widen the lengths of one instead", other)))
			continue
		}
		known[a] = path
	}
	return errs
}

// validateWithin refuses what a pool could never serve, because its backend is not asked for it.
func validateWithin(backend v1alpha1.Backend, pool v1alpha1.BackendPool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, list := range []struct {
		name        string
		whole, part []string
	}{
		{"providerTypes", backend.ProviderTypes, pool.ProviderTypes},
		{"regions", backend.Regions, pool.Regions},
		{"seeds", backend.Seeds, pool.Seeds},
		{"ranges", backend.Ranges, pool.Ranges},
	} {
		for i, value := range list.part {
			if len(list.whole) > 0 && !slices.Contains(list.whole, value) {
				errs = append(errs, field.Invalid(path.Child(list.name).Index(i), value, fmt.Sprintf(
					"is not among the backend's %s (%s), so the pool would never be asked for it", list.name, strings.Join(list.whole, ", "))))
			}
		}
	}
	return errs
}

func validateBackendLengths(kind v1alpha1.BackendType, pool v1alpha1.BackendPool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	least, greatest := path.Child("minPrefixLength"), path.Child("maxPrefixLength")
	for _, bound := range []struct {
		value int32
		path  *field.Path
	}{{pool.MinPrefixLength, least}, {pool.MaxPrefixLength, greatest}} {
		switch {
		case bound.value == 0:
			errs = append(errs, field.Required(bound.path, "the service does not tell the plan which lengths the pool gives"))
		case bound.value < minLength || bound.value > maxLength:
			errs = append(errs, field.Invalid(bound.path, bound.value, fmt.Sprintf("must be from %d to %d", minLength, maxLength)))
		case kind == v1alpha1.BackendGCP && bound.value != gcpLength:
			errs = append(errs, field.Invalid(bound.path, bound.value, fmt.Sprintf("must be %d: Compute Engine reserves nothing else in a subnetwork", gcpLength)))
		}
	}
	switch {
	case len(errs) > 0:
		return errs
	case pool.MaxPrefixLength < pool.MinPrefixLength:
		return field.ErrorList{field.Invalid(greatest, pool.MaxPrefixLength, fmt.Sprintf("must be at least minPrefixLength, which is %d", pool.MinPrefixLength))}
	case kind == v1alpha1.BackendClusterAPI && pool.MaxPrefixLength != pool.MinPrefixLength:
		return field.ErrorList{field.Invalid(greatest, pool.MaxPrefixLength, fmt.Sprintf(
			"must be %d like minPrefixLength: all prefixes of such a pool have one length, its allocationPrefixLength", pool.MinPrefixLength))}
	}
	return nil
}

var (
	awsPool       = regexp.MustCompile(`^ipam-pool-[0-9a-f]+$`)
	gcpSubnetwork = regexp.MustCompile(`^projects/[a-z0-9][a-z0-9:.-]*/regions/[a-z]([a-z0-9-]*[a-z0-9])?/subnetworks/[a-z]([a-z0-9-]*[a-z0-9])?$`)
)

// maxNeutronName is the greatest length of a name in Neutron.
const maxNeutronName = 255

// validateID judges what the service knows the pool by; nil if it may be right.
func validateID(kind v1alpha1.BackendType, id string, path *field.Path) *field.Error {
	if id == "" {
		return field.Required(path, "must tell the pool in the service: "+idForm(kind))
	}
	valid := true
	switch kind {
	case v1alpha1.BackendOpenStack:
		valid = len(id) <= maxNeutronName && strings.TrimSpace(id) == id && !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' })
	case v1alpha1.BackendAWS:
		valid = awsPool.MatchString(id)
	case v1alpha1.BackendGCP:
		valid = gcpSubnetwork.MatchString(id)
	case v1alpha1.BackendClusterAPI:
		pool, name, _ := strings.Cut(id, "/")
		valid = (pool == "InClusterPrefixPool" || pool == "GlobalInClusterPrefixPool") && isObjectName(name)
	case v1alpha1.BackendIronCore:
		valid = isObjectName(id)
	}
	if !valid {
		return field.Invalid(path, id, "must be "+idForm(kind))
	}
	return nil
}

func isObjectName(name string) bool { return len(utilvalidation.IsDNS1123Subdomain(name)) == 0 }

// idForm tells what an ID of the type looks like.
func idForm(kind v1alpha1.BackendType) string {
	switch kind {
	case v1alpha1.BackendOpenStack:
		return "the UUID or the name of a subnet pool"
	case v1alpha1.BackendAWS:
		return "the ID of an IPAM pool, for example ipam-pool-0123456789abcdef0"
	case v1alpha1.BackendGCP:
		return "a subnetwork, for example projects/my-project/regions/europe-west1/subnetworks/my-subnetwork"
	case v1alpha1.BackendClusterAPI:
		return "the kind and the name of a pool, for example InClusterPrefixPool/my-pool or GlobalInClusterPrefixPool/my-pool"
	case v1alpha1.BackendIronCore:
		return "the name of the parent Prefix, a lowercase RFC 1123 subdomain"
	}
	return ""
}
