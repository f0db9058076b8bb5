// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	secretsutils "github.com/gardener/gardener/pkg/utils/secrets"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/build"
)

const (
	// gardenID is the identity of this Gardener installation.
	gardenID = "landscape"

	gardenerAPIServer = "gardener-apiserver"
	// gardenerVersion is that of the components used here.
	gardenerVersion = build.GardenerVersion
)

// kubernetesVersion of everything on the landscape, as Shoots write it.
var kubernetesVersion = strings.TrimPrefix(build.KubernetesVersion, "v")

// gardenerAPIs are the group versions that gardener-apiserver serves.
var gardenerAPIs = []schema.GroupVersion{
	{Group: "core.gardener.cloud", Version: "v1"},
	{Group: "core.gardener.cloud", Version: "v1beta1"},
	{Group: "seedmanagement.gardener.cloud", Version: "v1alpha1"},
	{Group: "operations.gardener.cloud", Version: "v1alpha1"},
	{Group: "security.gardener.cloud", Version: "v1alpha1"},
}

// deployGarden runs gardener-apiserver with its default admission plugins, aggregated into the cluster's API.
func (d *Driver) deployGarden(ctx context.Context) error {
	ca, server, err := d.gardenCertificates(ctx)
	if err != nil {
		return err
	}

	manifest, err := render("gardener-apiserver.yaml", map[string]string{
		"Image":       d.machine.Image(gardenerAPIServer),
		"EtcdServers": d.machine.seed.Etcd.URL(),
		"GardenID":    gardenID,
		"TLSSecret":   server.Name,
	})
	if err != nil {
		return err
	}

	if err := applyManifest(ctx, d.seed.Client(), manifest); err != nil {
		return err
	}

	for _, api := range gardenerAPIs {
		if err := d.registerAPI(ctx, api, ca.Data[secretsutils.DataKeyCertificateBundle]); err != nil {
			return err
		}
	}

	return d.waitForGarden(ctx)
}

func (d *Driver) gardenCertificates(ctx context.Context) (ca, server *corev1.Secret, err error) {
	const caName = "ca-" + gardenerAPIServer

	manager, err := secretsmanager.New(ctx, d.log, clock.RealClock{}, d.seed.Client(), "landscape-garden",
		secretsmanager.WithNamespaces(constants.GardenNamespace))
	if err != nil {
		return nil, nil, fmt.Errorf("secrets manager of the garden: %w", err)
	}

	if _, err := manager.Generate(ctx, &secretsutils.CertificateSecretConfig{
		Name:       caName,
		CommonName: gardenerAPIServer,
		CertType:   secretsutils.CACert,
	}); err != nil {
		return nil, nil, fmt.Errorf("certificate authority of %s: %w", gardenerAPIServer, err)
	}

	server, err = manager.Generate(ctx, &secretsutils.CertificateSecretConfig{
		Name:       gardenerAPIServer,
		CommonName: gardenerAPIServer,
		DNSNames: []string{
			gardenerAPIServer + "." + constants.GardenNamespace + ".svc",
			gardenerAPIServer + "." + constants.GardenNamespace + ".svc.cluster.local",
		},
		CertType:                    secretsutils.ServerCert,
		SkipPublishingCACertificate: true,
	}, secretsmanager.SignedByCA(caName))
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", gardenerAPIServer, err)
	}

	ca, found := manager.Get(caName)
	if !found {
		return nil, nil, fmt.Errorf("certificate authority of %s is gone", gardenerAPIServer)
	}

	// One Secret with all that gardener-apiserver mounts.
	data := map[string][]byte{
		corev1.TLSCertKey:       server.Data[secretsutils.DataKeyCertificate],
		corev1.TLSPrivateKeyKey: server.Data[secretsutils.DataKeyPrivateKey],
	}

	etcdCA, etcdCert, etcdKey := d.machine.seed.Etcd.ClientFiles()

	for name, path := range map[string]string{"etcd-ca.crt": etcdCA, "etcd.crt": etcdCert, "etcd.key": etcdKey} {
		if data[name], err = os.ReadFile(path); err != nil { // #nosec G304 -- the landscape's own files
			return nil, nil, fmt.Errorf("client certificate of etcd: %w", err)
		}
	}

	tls := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: gardenerAPIServer + "-tls", Namespace: constants.GardenNamespace}}

	return ca, tls, d.apply(ctx, tls, func() { tls.Data = data })
}

func (d *Driver) registerAPI(ctx context.Context, api schema.GroupVersion, caBundle []byte) error {
	service := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: api.Version + "." + api.Group}}

	return applyWith(ctx, d.garden, service, func() {
		port := int32(443)
		service.Spec = apiregistrationv1.APIServiceSpec{
			Service:              &apiregistrationv1.ServiceReference{Namespace: constants.GardenNamespace, Name: gardenerAPIServer, Port: &port},
			Group:                api.Group,
			Version:              api.Version,
			CABundle:             caBundle,
			GroupPriorityMinimum: 9000,
			VersionPriority:      10,
		}
	})
}

// waitForGarden waits until every API answers.
func (d *Driver) waitForGarden(ctx context.Context) error {
	return until(ctx, waiting{
		what:  "the Gardener APIs to be served",
		limit: 2 * time.Minute,
		logs:  d.hint("-n garden logs deploy/" + gardenerAPIServer),
	}, func(ctx context.Context) error {
		for _, api := range gardenerAPIs {
			service := &apiregistrationv1.APIService{}
			if err := d.garden.Get(ctx, client.ObjectKey{Name: api.Version + "." + api.Group}, service); err != nil {
				return fmt.Errorf("APIService of %s: %w", api, err)
			}

			if err := apiAvailable(service); err != nil {
				return err
			}
		}

		// Listing shows that the way to etcd works, too.
		return d.garden.List(ctx, &gardencorev1beta1.ShootList{}, client.Limit(1))
	})
}

func apiAvailable(service *apiregistrationv1.APIService) error {
	for _, condition := range service.Status.Conditions {
		if condition.Type == apiregistrationv1.Available && condition.Status == apiregistrationv1.ConditionTrue {
			return nil
		} else if condition.Type == apiregistrationv1.Available {
			return fmt.Errorf("%s: %s", service.Name, condition.Message)
		}
	}

	return fmt.Errorf("%s: not looked at yet", service.Name)
}

// prepareGarden makes what a Gardener operator and a project's owner have set up before the first Shoot.
func (d *Driver) prepareGarden(ctx context.Context) error {
	networks := d.machine.SeedNetworks()

	manifest, err := render("garden.yaml", map[string]string{
		"KubernetesVersion": kubernetesVersion,
		"SeedNodes":         networks.Nodes.String(),
		"SeedPods":          networks.Pods.String(),
		"SeedServices":      networks.Services.String(),
	})
	if err != nil {
		return err
	}

	// gardener-apiserver's admission plugins look at caches, which follow what was created just now.
	return until(ctx, waiting{what: "the garden's objects to be accepted", limit: 30 * time.Second, logs: d.hint("-n garden logs deploy/" + gardenerAPIServer)},
		func(ctx context.Context) error { return applyManifest(ctx, d.garden, manifest) })
}
