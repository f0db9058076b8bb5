// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ready asks an API server whether it is.
func ready(ctx context.Context, config *rest.Config) error {
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}

	defer httpClient.CloseIdleConnections()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/readyz", http.NoBody)
	if err != nil {
		return err
	}

	response, err := httpClient.Do(request)
	if err != nil {
		return err
	}

	defer func() { _ = response.Body.Close() }()

	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the API server answers %s", response.Status)
	}

	return nil
}

// WriteKubeconfig writes a kubeconfig of the Shoot for a person on the machine.
func (c *Cluster) WriteKubeconfig(ctx context.Context) error {
	config, err := c.ShootConfig(ctx)
	if err != nil {
		return err
	}

	text, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{c.Shoot.Name: {
			Server: config.Host, TLSServerName: config.ServerName, CertificateAuthorityData: config.CAData,
		}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"admin": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
		Contexts:       map[string]*clientcmdapi.Context{c.Shoot.Name: {Cluster: c.Shoot.Name, AuthInfo: "admin"}},
		CurrentContext: c.Shoot.Name,
	})
	if err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", c.Namespace, err)
	}

	path := ShootKubeconfigPath(c.machine.Dir)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", c.Namespace, err)
	}

	return nil
}

// ShootKubeconfigPath is where the Shoot's kubeconfig for a person lies.
func ShootKubeconfigPath(dir string) string { return filepath.Join(dir, "shoot.kubeconfig") }
