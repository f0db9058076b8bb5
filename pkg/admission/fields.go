// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
)

// Gardener's own bounds and default of nodeCIDRMaskSize.
const (
	// maxMaskIPv4 is the longest mask that can be meant for IPv4.
	maxMaskIPv4 = 28
	// defaultMaskIPv6 is what Gardener fills in. It cannot be told from a wish, so it counts as none.
	defaultMaskIPv6 = 64
	defaultMaskIPv4 = 24
)

// storedConfig is the providerConfig of the stored Shoot; empty if there is none, or if it cannot be read.
func storedConfig(old *gardencorev1beta1.Shoot) *v1alpha1.NetworkConfig {
	if old == nil || old.Spec.Networking == nil {
		return &v1alpha1.NetworkConfig{}
	}
	config, err := helper.DecodeNetworkConfigAsWritten(old.Spec.Networking.ProviderConfig)
	if err != nil {
		return &v1alpha1.NetworkConfig{}
	}
	return config
}

// specField is the field of spec.networking for the range.
func specField(n *gardencorev1beta1.Networking, name keyword.Name) **string {
	switch name {
	case keyword.Nodes:
		return &n.Nodes
	case keyword.Pods:
		return &n.Pods
	default:
		return &n.Services
	}
}

func specRange(shoot *gardencorev1beta1.Shoot, n keyword.Name) *string {
	if shoot.Spec.Networking == nil {
		return nil
	}
	return *specField(shoot.Spec.Networking, n)
}

// statusRange are the CIDRs of the range that the Shoot's status names.
func statusRange(shoot *gardencorev1beta1.Shoot, n keyword.Name) []string {
	status := shoot.Status.Networking
	if status == nil {
		return nil
	}
	switch n {
	case keyword.Nodes:
		return status.Nodes
	case keyword.Pods:
		return status.Pods
	default:
		return status.Services
	}
}

func setSpecRange(shoot *gardencorev1beta1.Shoot, n keyword.Name, text *string) {
	*specField(shoot.Spec.Networking, n) = text
}

// configField is the field of providerConfig.ranges for the range.
func configField(r *v1alpha1.Ranges, n keyword.Name) **string {
	switch n {
	case keyword.Nodes:
		return &r.Nodes
	case keyword.Pods:
		return &r.Pods
	default:
		return &r.Services
	}
}

func configRange(config *v1alpha1.NetworkConfig, n keyword.Name) *string {
	if config.Ranges == nil {
		return nil
	}
	return *configField(config.Ranges, n)
}

// setConfigRange writes the canonical text; nil takes the range out.
func setConfigRange(config *v1alpha1.NetworkConfig, n keyword.Name, r *keyword.Range) {
	if r == nil {
		if config.Ranges != nil {
			*configField(config.Ranges, n) = nil
		}
		return
	}
	if config.Ranges == nil {
		config.Ranges = &v1alpha1.Ranges{}
	}
	*configField(config.Ranges, n) = ptr.To(r.String())
}

// seedDefault is what Gardener fills in for the range of every Shoot on the Seed that leaves it empty.
func seedDefault(seed *gardencorev1beta1.Seed, n keyword.Name) *string {
	if seed == nil || seed.Spec.Networks.ShootDefaults == nil {
		return nil
	}
	switch n {
	case keyword.Pods:
		return seed.Spec.Networks.ShootDefaults.Pods
	case keyword.Services:
		return seed.Spec.Networks.ShootDefaults.Services
	}
	return nil
}

// ownersMasks are the node masks that the owner set, by family; 0 if he set none. Gardener's default depends on the ipFamilies,
// which may not have been known when it was filled in, so the number itself has to tell the family. A stored Shoot's masks are
// what they are.
func ownersMasks(shoot *gardencorev1beta1.Shoot, stored bool) (ipv4, ipv6 int) {
	kcm := shoot.Spec.Kubernetes.KubeControllerManager
	if kcm == nil {
		return 0, 0
	}
	if size := int(ptr.Deref(kcm.NodeCIDRMaskSize, 0)); size <= maxMaskIPv4 {
		ipv4 = size
	} else {
		ipv6 = size
	}
	if size := int(ptr.Deref(kcm.NodeCIDRMaskSizeIPv6, 0)); size != 0 {
		ipv6 = size
	}
	if ipv6 == defaultMaskIPv6 && !stored {
		ipv6 = 0
	}
	return ipv4, ipv6
}

// applyMasks sets the node masks. They are immutable: a stored Shoot keeps its own.
func (m *mutation) applyMasks(p plan.Plan) {
	if m.old != nil && p.NodeMaskIPv6 != 0 {
		if stored := m.old.Spec.Kubernetes.KubeControllerManager; stored != nil && hasMaskFor(m.old, p) {
			kcm := m.controllerManager()
			kcm.NodeCIDRMaskSize, kcm.NodeCIDRMaskSizeIPv6 = stored.NodeCIDRMaskSize, stored.NodeCIDRMaskSizeIPv6
			return
		}
	}
	if p.NodeMaskIPv6 == 0 {
		return
	}
	kcm, mask := m.controllerManager(), ptr.To(int32(p.NodeMaskIPv6)) //nolint:gosec // between 64 and 124
	if len(p.IPFamilies) == 1 && p.IPFamilies[0] == prefix.IPv6 {
		kcm.NodeCIDRMaskSize, kcm.NodeCIDRMaskSizeIPv6 = mask, nil
		return
	}
	if len(p.IPFamilies) == 1 { // IPv4 services with IPv6 pods beside: Gardener has no field for the IPv6 mask then
		return
	}
	if ipv4, _ := ownersMasks(m.shoot, false); ipv4 == 0 {
		kcm.NodeCIDRMaskSize = ptr.To[int32](defaultMaskIPv4)
	}
	kcm.NodeCIDRMaskSizeIPv6 = mask
}

// hasMaskFor tells whether the stored Shoot has the families of the plan, and with them the masks.
func hasMaskFor(old *gardencorev1beta1.Shoot, p plan.Plan) bool {
	if old.Spec.Networking == nil || len(old.Spec.Networking.IPFamilies) != len(p.IPFamilies) {
		return false
	}
	for i, f := range old.Spec.Networking.IPFamilies {
		if string(f) != p.IPFamilies[i].String() {
			return false
		}
	}
	return true
}

func (m *mutation) controllerManager() *gardencorev1beta1.KubeControllerManagerConfig {
	kubernetes := &m.shoot.Spec.Kubernetes
	if kubernetes.KubeControllerManager == nil {
		kubernetes.KubeControllerManager = &gardencorev1beta1.KubeControllerManagerConfig{}
	}
	return kubernetes.KubeControllerManager
}
