// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// DecodeNetworkConfig reads a Shoot's spec.networking.providerConfig and fills in the defaults. It is strict: an unknown or a
// doubled field is an error. The result is never nil and never shares memory with raw; nil gives the defaults.
func DecodeNetworkConfig(raw *runtime.RawExtension) (*v1alpha1.NetworkConfig, error) {
	config, err := DecodeNetworkConfigAsWritten(raw)
	if err != nil {
		return nil, err
	}
	v1alpha1.SetObjectDefaults_NetworkConfig(config)
	return config, nil
}

// DecodeNetworkConfigAsWritten is DecodeNetworkConfig without the defaults, for those who write the document back and must not
// add what its owner did not say.
func DecodeNetworkConfigAsWritten(raw *runtime.RawExtension) (*v1alpha1.NetworkConfig, error) {
	config := &v1alpha1.NetworkConfig{}
	if err := decode(strict, raw, KindNetworkConfig, config); err != nil {
		return nil, err
	}
	return config, nil
}

// EncodeNetworkConfig writes a Shoot's spec.networking.providerConfig, complete with apiVersion and kind. Equal
// configurations give equal bytes.
func EncodeNetworkConfig(config *v1alpha1.NetworkConfig) (*runtime.RawExtension, error) {
	return encode(config, KindNetworkConfig)
}

// DecodeNetworkStatus reads the providerStatus of a Network. It ignores unknown fields, because it may have been written by a
// later version of this extension. Nil gives an empty status.
func DecodeNetworkStatus(raw *runtime.RawExtension) (*v1alpha1.NetworkStatus, error) {
	status := &v1alpha1.NetworkStatus{}
	if err := decode(lenient, raw, KindNetworkStatus, status); err != nil {
		return nil, err
	}
	return status, nil
}

// EncodeNetworkStatus writes the providerStatus of a Network.
func EncodeNetworkStatus(status *v1alpha1.NetworkStatus) (*runtime.RawExtension, error) {
	return encode(status, KindNetworkStatus)
}

// DecodeNetworkState reads the state of a Network. It ignores unknown fields, because the seed that a control plane comes from
// may run a later version of this extension. Nil gives an empty state.
func DecodeNetworkState(raw *runtime.RawExtension) (*v1alpha1.NetworkState, error) {
	state := &v1alpha1.NetworkState{}
	if err := decode(lenient, raw, KindNetworkState, state); err != nil {
		return nil, err
	}
	return state, nil
}

// EncodeNetworkState writes the state of a Network.
func EncodeNetworkState(state *v1alpha1.NetworkState) (*runtime.RawExtension, error) {
	return encode(state, KindNetworkState)
}
