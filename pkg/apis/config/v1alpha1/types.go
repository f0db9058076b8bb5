// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// ControllerConfiguration configures gardener-extension-networking-ipv6.
type ControllerConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	// ClientConnection tunes the client to the seed.
	// +optional
	ClientConnection *componentbaseconfigv1alpha1.ClientConnectionConfiguration `json:"clientConnection,omitempty"`
	// GardenID is the identity of the Gardener installation. It is part of every owner key.
	// +optional
	GardenID string `json:"gardenID,omitempty"`
	// SeedName is the name of the Seed that the extension runs in. What is reserved in an IPAM service is marked with it, so that
	// no other seed takes it for garbage; needed with backends, and where something is restricted to seeds.
	// +optional
	SeedName string `json:"seedName,omitempty"`
	// Pools are the operator's own prefixes. The keyword v6global takes from them.
	// +optional
	Pools []Pool `json:"pools,omitempty"`
	// Backends are IPAM services that prefixes are reserved in, in the order in which they are asked, after the pools.
	// +optional
	Backends []Backend `json:"backends,omitempty"`
	// Quarantine is how long a released prefix is kept from reuse; one hour if unset.
	// +optional
	Quarantine *metav1.Duration `json:"quarantine,omitempty"`
	// FeatureGates enables or disables features by name.
	// +optional
	FeatureGates map[string]bool `json:"featureGates,omitempty"`
}

// Selector restricts for which shoots and ranges a pool or a backend serves. An empty list does not restrict.
type Selector struct {
	// ProviderTypes of the Shoots, for example "openstack". Unset in a backend of type openstack, aws or gcp that works with the
	// shoots' own credentials: that type, for no other shoot has the credentials.
	// +optional
	ProviderTypes []string `json:"providerTypes,omitempty"`
	// Regions of the Shoots. Unset in a pool of type gcp: the region of its subnetwork.
	// +optional
	Regions []string `json:"regions,omitempty"`
	// Seeds by name. It lets one configuration serve many seeds.
	// +optional
	Seeds []string `json:"seeds,omitempty"`
	// Ranges are nodes, pods or services.
	// +optional
	Ranges []string `json:"ranges,omitempty"`
}

// Pool is a named set of prefixes that shoots' ranges are cut from.
type Pool struct {
	// Name is unique among the pools.
	Name string `json:"name"`
	// Prefixes are canonical CIDRs of global IPv6 addresses, disjoint from those of every pool.
	Prefixes []string `json:"prefixes"`
	// MinPrefixLength is the shortest length that one reservation may have; the length of the shortest prefix if unset.
	// +optional
	MinPrefixLength *int32 `json:"minPrefixLength,omitempty"`
	// MaxPrefixLength is the longest length that one reservation may have; a longer request gets this one. 120 if unset.
	// +optional
	MaxPrefixLength *int32 `json:"maxPrefixLength,omitempty"`

	Selector `json:",inline"`
	// ShootsMayName allows NetworkConfig.ipam to name this pool. False if unset.
	// +optional
	ShootsMayName *bool `json:"shootsMayName,omitempty"`
}

// BackendType is the kind of an IPAM service.
type BackendType string

// The kinds of IPAM services.
const (
	// BackendOpenStack reserves subnets in Neutron's subnet pools.
	BackendOpenStack BackendType = "openstack"
	// BackendAWS reserves allocations in pools of VPC IPAM.
	BackendAWS BackendType = "aws"
	// BackendGCP reserves regional addresses of /96 in subnetworks of Compute Engine.
	BackendGCP BackendType = "gcp"
	// BackendClusterAPI claims from InClusterPrefixPools and GlobalInClusterPrefixPools of Cluster API's in-cluster provider.
	BackendClusterAPI BackendType = "clusterapi"
	// BackendIronCore makes Prefix objects of ipam.ironcore.dev.
	BackendIronCore BackendType = "ironcore"
)

// Backend is an IPAM service.
type Backend struct {
	// Name is unique among the backends and none of "pool", "ula" and "adopted". It stands in the status of what was reserved
	// there: never rename a backend that holds something.
	Name string `json:"name"`
	// Type is openstack, aws, gcp, clusterapi or ironcore.
	Type BackendType `json:"type"`

	Selector `json:",inline"`
	// ShootsMayName allows NetworkConfig.ipam to name this backend and its pools. False if unset.
	// +optional
	ShootsMayName *bool `json:"shootsMayName,omitempty"`
	// Pools of the service to take prefixes from, in the order in which they are asked.
	Pools []BackendPool `json:"pools"`
	// SecretName is a Secret in the extension's own namespace with the operator's credentials, in the form that the provider
	// has it for Infrastructures ("cloudprovider"); for clusterapi and ironcore with the key "kubeconfig". Unset: the shoot's own
	// credentials; for clusterapi and ironcore the seed itself.
	// +optional
	SecretName *string `json:"secretName,omitempty"`
	// Region of the service, for openstack and aws; the shoot's if unset. Needed for aws with secretName.
	// +optional
	Region *string `json:"region,omitempty"`
	// Endpoint is the URL of the service, where it is not the one that its region or credentials lead to.
	// +optional
	Endpoint *string `json:"endpoint,omitempty"`
	// Namespace of the objects in which clusterapi and ironcore reserve.
	// +optional
	Namespace *string `json:"namespace,omitempty"`
}

// BackendPool is a pool of an IPAM service.
type BackendPool struct {
	// Name is unique among the backend's pools.
	Name string `json:"name"`
	// ID by which the service knows the pool: the UUID or the name of a subnet pool (openstack), the ID of an IPAM pool (aws), the
	// subnetwork as projects/<p>/regions/<r>/subnetworks/<s> (gcp), InClusterPrefixPool/<name> or
	// GlobalInClusterPrefixPool/<name> (clusterapi), the name of the parent Prefix (ironcore).
	ID string `json:"id"`
	// MinPrefixLength is the shortest length that one reservation may have.
	MinPrefixLength int32 `json:"minPrefixLength"`
	// MaxPrefixLength is the longest length that one reservation may have; a longer request gets this one.
	MaxPrefixLength int32 `json:"maxPrefixLength"`

	Selector `json:",inline"`
	// ShootsMayName allows NetworkConfig.ipam to name this pool. False if unset.
	// +optional
	ShootsMayName *bool `json:"shootsMayName,omitempty"`
}
