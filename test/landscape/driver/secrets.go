// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/utils/gardener/tokenrequest"
	secretsutils "github.com/gardener/gardener/pkg/utils/secrets"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"
)

// certificateAuthorities of a Shoot's control plane, as gardenlet makes them.
var certificateAuthorities = []string{
	constants.SecretNameCACluster,
	constants.SecretNameCAClient,
	constants.SecretNameCAKubelet,
	constants.SecretNameCAETCD,
	constants.SecretNameCAFrontProxy,
}

// deploySecrets makes the Shoot's certificate authorities and the kubeconfig that components in the control plane share.
func (c *Cluster) deploySecrets(ctx context.Context) error {
	manager, err := secretsmanager.New(ctx, c.log, clock.RealClock{}, c.seed.Client(), "gardenlet", secretsmanager.WithNamespaces(c.Namespace))
	if err != nil {
		return fmt.Errorf("secrets manager of %s: %w", c.Namespace, err)
	}

	c.secrets = manager

	for _, name := range certificateAuthorities {
		if _, err := manager.Generate(ctx,
			&secretsutils.CertificateSecretConfig{Name: name, CommonName: name, CertType: secretsutils.CACert},
			secretsmanager.Persist(), secretsmanager.Rotate(secretsmanager.KeepOld),
		); err != nil {
			return fmt.Errorf("certificate authority %s of %s: %w", name, c.Namespace, err)
		}
	}

	kubeconfig, err := tokenrequest.GenerateGenericTokenKubeconfig(ctx, manager, c.Namespace, constants.DeploymentNameKubeAPIServer)
	if err != nil {
		return fmt.Errorf("generic kubeconfig of %s: %w", c.Namespace, err)
	}

	cluster := &extensionsv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace}}

	if err := c.apply(ctx, cluster, func() {
		metav1.SetMetaDataAnnotation(&cluster.ObjectMeta, constants.AnnotationKeyGenericTokenKubeconfigSecretName, kubeconfig.Name)
	}); err != nil {
		return err
	}

	return c.deployCloudProvider(ctx)
}

// deployCloudProvider copies the Shoot's credentials to where the infrastructure provider finds them.
func (c *Cluster) deployCloudProvider(ctx context.Context) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: constants.SecretNameCloudProvider, Namespace: c.Namespace}}

	return c.apply(ctx, secret, func() {
		secret.Data = map[string][]byte{"none": []byte("the landscape's infrastructure needs no credentials")}
	})
}

// keyPair is a certificate with its key, PEM-encoded.
type keyPair struct {
	certificate, key []byte
}

// certificate has one signed by an authority of the Shoot.
func (c *Cluster) certificate(ctx context.Context, ca string, config *secretsutils.CertificateSecretConfig) (keyPair, error) {
	config.SkipPublishingCACertificate = true

	secret, err := c.secrets.Generate(ctx, config, secretsmanager.SignedByCA(ca, secretsmanager.UseCurrentCA), secretsmanager.Rotate(secretsmanager.InPlace))
	if err != nil {
		return keyPair{}, fmt.Errorf("certificate %s of %s: %w", config.Name, c.Namespace, err)
	}

	return keyPair{certificate: secret.Data[secretsutils.DataKeyCertificate], key: secret.Data[secretsutils.DataKeyPrivateKey]}, nil
}

// caBundle is what to trust of an authority.
func (c *Cluster) caBundle(name string) ([]byte, error) {
	secret, found := c.secrets.Get(name)
	if !found {
		return nil, fmt.Errorf("certificate authority %s of %s is not there", name, c.Namespace)
	}

	return secret.Data[secretsutils.DataKeyCertificateBundle], nil
}

// clientKubeconfig is access to the Shoot's API server, from anywhere on the landscape, for a user with groups.
func (c *Cluster) clientKubeconfig(ctx context.Context, secretName, userName string, groups ...string) ([]byte, error) {
	pair, err := c.certificate(ctx, constants.SecretNameCAClient, &secretsutils.CertificateSecretConfig{
		Name:         secretName,
		CommonName:   userName,
		Organization: groups,
		CertType:     secretsutils.ClientCert,
		Validity:     ptrTo(365 * 24 * time.Hour),
	})
	if err != nil {
		return nil, err
	}

	bundle, err := c.caBundle(constants.SecretNameCACluster)
	if err != nil {
		return nil, err
	}

	config := clientcmdv1.Config{
		APIVersion:     "v1",
		Kind:           "Config",
		CurrentContext: c.Namespace,
		Contexts:       []clientcmdv1.NamedContext{{Name: c.Namespace, Context: clientcmdv1.Context{Cluster: c.Namespace, AuthInfo: userName}}},
		Clusters: []clientcmdv1.NamedCluster{{Name: c.Namespace, Cluster: clientcmdv1.Cluster{
			Server:                   "https://" + net.JoinHostPort(c.apiAddress().String(), "443"),
			CertificateAuthorityData: bundle,
		}}},
		AuthInfos: []clientcmdv1.NamedAuthInfo{{Name: userName, AuthInfo: clientcmdv1.AuthInfo{
			ClientCertificateData: pair.certificate,
			ClientKeyData:         pair.key,
		}}},
	}

	text, err := yaml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig of %s for %s: %w", userName, c.Namespace, err)
	}

	if _, err := clientcmd.Load(text); err != nil {
		return nil, fmt.Errorf("kubeconfig of %s for %s: %w", userName, c.Namespace, err)
	}

	return text, nil
}

// AdminKubeconfig is an administrator's access to the Shoot.
func (c *Cluster) AdminKubeconfig(ctx context.Context) ([]byte, error) {
	return c.clientKubeconfig(ctx, "landscape-admin", "admin", user.SystemPrivilegedGroup)
}

func ptrTo[T any](value T) *T { return &value }
