// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
)

// backendTypes are all that there are.
var backendTypes = []v1alpha1.BackendType{
	v1alpha1.BackendOpenStack, v1alpha1.BackendAWS, v1alpha1.BackendGCP, v1alpha1.BackendClusterAPI, v1alpha1.BackendIronCore,
}

// reservedNames are those of the backends that every configuration has, and of what is adopted from the Infrastructure.
var reservedNames = []string{"pool", "ula", "adopted"}

func validateBackends(backends []v1alpha1.Backend, path *field.Path) field.ErrorList {
	var (
		errs  field.ErrorList
		names = map[string]bool{}
		known = map[account]*field.Path{}
	)
	for i, backend := range backends {
		path := path.Index(i)
		errs = append(errs, validateBackendName(backend.Name, names, path.Child("name"))...)
		errs = append(errs, validateSelector(backend.Selector, path)...)
		if !slices.Contains(backendTypes, backend.Type) {
			// What else is right depends on the type.
			errs = append(errs, field.NotSupported(path.Child("type"), backend.Type, backendTypes))
			continue
		}
		errs = append(errs, validateAccount(backend, path)...)
		errs = append(errs, validateBackendPools(backend, known, path.Child("pools"))...)
	}
	return errs
}

func validateBackendName(name string, names map[string]bool, path *field.Path) field.ErrorList {
	if slices.Contains(reservedNames, name) {
		return field.ErrorList{field.Invalid(path, name, "is taken: pool are the operator's own pools, ula is for private ranges, adopted is what the infrastructure provider reports")}
	}
	return validateName(name, "backend", names, path)
}

// validateAccount judges with whose credentials the service is reached, and where.
func validateAccount(backend v1alpha1.Backend, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if backend.SecretName != nil {
		if problems := utilvalidation.IsDNS1123Subdomain(*backend.SecretName); len(problems) > 0 {
			errs = append(errs, field.Invalid(path.Child("secretName"), *backend.SecretName, "must be the name of a Secret in the extension's namespace: "+strings.Join(problems, "; ")))
		}
	}
	if backend.Type.IsCloud() && backend.SecretName == nil {
		for i, provider := range backend.ProviderTypes {
			if provider != string(backend.Type) {
				errs = append(errs, field.Invalid(path.Child("providerTypes").Index(i), provider, fmt.Sprintf(
					"its shoots have no credentials for %s; give the operator's in secretName, or leave it out", backend.Type)))
			}
		}
	}
	errs = append(errs, validateRegion(backend, path.Child("region"))...)
	errs = append(errs, validateEndpoint(backend, path.Child("endpoint"))...)
	return append(errs, validateNamespace(backend, path.Child("namespace"))...)
}

func validateRegion(backend v1alpha1.Backend, path *field.Path) field.ErrorList {
	region := backend.Region
	switch backend.Type {
	case v1alpha1.BackendOpenStack, v1alpha1.BackendAWS:
		switch {
		case region != nil && (*region == "" || strings.TrimSpace(*region) != *region):
			return field.ErrorList{field.Invalid(path, *region, "must be the name of a region; leave it out for that of the shoot")}
		case region == nil && backend.SecretName != nil && backend.Type == v1alpha1.BackendAWS:
			// Neutron's endpoint is in the catalogue that the credentials lead to, EC2's follows from the region.
			return field.ErrorList{field.Required(path, "with secretName the account is the operator's, and no shoot tells its region")}
		}
	case v1alpha1.BackendGCP:
		if region != nil {
			return field.ErrorList{field.Forbidden(path, "the id of a pool of type gcp tells its region")}
		}
	case v1alpha1.BackendClusterAPI, v1alpha1.BackendIronCore:
		if region != nil {
			return field.ErrorList{field.Forbidden(path, byKubeconfig(backend.Type))}
		}
	}
	return nil
}

func byKubeconfig(kind v1alpha1.BackendType) string {
	return fmt.Sprintf("type %s has none: it is reached by a kubeconfig (secretName), or in the seed itself", kind)
}

func validateEndpoint(backend v1alpha1.Backend, path *field.Path) field.ErrorList {
	if backend.Endpoint == nil {
		return nil
	}
	if !backend.Type.IsCloud() {
		return field.ErrorList{field.Forbidden(path, byKubeconfig(backend.Type))}
	}
	endpoint, err := url.Parse(*backend.Endpoint)
	switch {
	case err != nil || endpoint.Host == "" || endpoint.Hostname() == "":
		return field.ErrorList{field.Invalid(path, *backend.Endpoint, "must be a URL, for example https://network.example.org:9696")}
	case endpoint.User != nil:
		// The text is not repeated: it holds what should be a secret.
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, "must hold no user or password; credentials belong into the Secret")}
	case endpoint.RawQuery != "" || endpoint.Fragment != "":
		return field.ErrorList{field.Invalid(path, *backend.Endpoint, "must hold no query and no fragment")}
	case endpoint.Scheme == "http" && isLoopback(endpoint.Hostname()):
		return nil
	case endpoint.Scheme != "https":
		return field.ErrorList{field.Invalid(path, *backend.Endpoint, "must begin with https://: credentials are sent there (http:// is for loopback addresses only)")}
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func validateNamespace(backend v1alpha1.Backend, path *field.Path) field.ErrorList {
	namespace := backend.Namespace
	if backend.Type.IsCloud() {
		if namespace != nil {
			return field.ErrorList{field.Forbidden(path, fmt.Sprintf("type %s keeps no Kubernetes objects", backend.Type))}
		}
		return nil
	}
	if namespace == nil {
		return field.ErrorList{field.Required(path, fmt.Sprintf("type %s reserves by objects, which need a namespace", backend.Type))}
	}
	if problems := utilvalidation.IsDNS1123Label(*namespace); len(problems) > 0 {
		return field.ErrorList{field.Invalid(path, *namespace, strings.Join(problems, "; "))}
	}
	return nil
}
