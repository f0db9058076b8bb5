// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package reservation_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/aws"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/gcp"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation/openstack"
)

// adapterSettings make a backend of a real adapter in a controller process.
type adapterSettings struct{ Type, Endpoint string }

// backend with the adapter, in each shoot's account, for the shoots of its provider type.
func (a adapterSettings) backend(seed string) reservation.Backend {
	ids := map[string]string{
		"openstack": "4b8d4d72-5d1c-4a4e-9b8f-3f4d0a3c2a11", "aws": "ipam-pool-0123456789abcdef0", "gcp": "projects/p/regions/r/subnetworks/s",
	}
	pools := []reservation.Pool{{Name: "p", ID: ids[a.Type], Family: prefix.IPv6, MinBits: 96, MaxBits: 96}}
	home := reservation.Home{GardenID: gardenID, Seed: seed}
	return reservation.Backend{
		Offer: reservation.Offer{
			Backend: a.Type, Type: a.Type, Scope: plan.Global, Pools: pools, Selector: reservation.Selector{ProviderTypes: []string{a.Type}},
		},
		PerShoot: true,
		Open: func(t reservation.Tenant) (reservation.Reserver, error) {
			switch a.Type {
			case "openstack":
				return openstack.New(a.Type, openstack.Config{Region: t.Region}, pools, home, t.Credentials)
			case "aws":
				return aws.New(a.Type, aws.Config{Region: "eu-west-1", Endpoint: a.Endpoint, TokenEndpoint: a.Endpoint, MaxBackoff: time.Millisecond}, pools, home, t.Credentials)
			default:
				return gcp.New(a.Type, gcp.Config{Endpoint: a.Endpoint, Poll: time.Millisecond}, pools, home, t.Credentials)
			}
		},
	}
}

// gossip is a service that refuses everything in another way each time, and repeats in its answer all that it was told. Real ones are
// rarely as bad; but what they say is theirs, and what we write of it is ours.
type gossip struct {
	*httptest.Server

	mu       sync.Mutex
	requests int
	// told are the credentials that were shown to it: headers, and what stood in bodies.
	told map[string]bool
}

func newGossip(t *testing.T, render func(status int, all string) string) *gossip {
	g := &gossip{told: map[string]bool{}}
	statuses := []int{400, 401, 403, 404, 409, 412, 413, 429, 500, 503}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		all, _ := httputil.DumpRequest(r, true)
		g.mu.Lock()
		status := statuses[g.requests%len(statuses)]
		g.requests++
		if header := r.Header.Get("Authorization"); header != "" {
			g.told[header] = true
		}
		if form, err := url.ParseQuery(string(body)); err == nil {
			for _, key := range []string{"assertion", "subject_token", "WebIdentityToken"} {
				if form.Get(key) != "" {
					g.told[form.Get(key)] = true
				}
			}
		}
		g.mu.Unlock()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, render(status, string(all)))
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gossip) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

func inJSON(status int, all string) string {
	text, _ := json.Marshal(map[string]any{
		"error":        map[string]any{"code": status, "message": all, "title": all, "errors": []any{map[string]any{"reason": "x", "message": all}}},
		"NeutronError": map[string]any{"type": "Conflict", "message": all, "detail": all}, "error_description": all,
	})
	return string(text)
}

func inXML(_ int, all string) string {
	text := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(all)
	return "<Response><Errors><Error><Code>Strange</Code><Message>" + text + "</Message></Error></Errors><RequestID>r</RequestID></Response>"
}

// No credential gets to where others read: not by way of what a service says, in a shoot's whole life, whatever fails in it.
func TestCredentialsStayInTheSecret(t *testing.T) {
	w := newWorld(t)
	services := map[string]*gossip{"openstack": newGossip(t, inJSON), "aws": newGossip(t, inXML), "gcp": newGossip(t, inJSON)}
	credentials := map[string]map[string]string{
		"openstack": {
			"authURL": services["openstack"].URL + "/v3", "domainName": "default", "tenantName": "project", "username": "s3cret-user-7f3a",
			"password": "s3cret-password-9c1d",
		},
		"aws": {"accessKeyID": "AKIAS3CRET0KEY7F3A", "secretAccessKey": "s3cret-access-key-51be"},
		"gcp": {"serviceaccount.json": serviceAccount(t, services["gcp"].URL)},
	}
	set := settings{Namespace: w.namespace, Seed: "seed-a", Keep: time.Second, Garbage: time.Second, Hurry: true}
	for kind, service := range services {
		set.Adapters = append(set.Adapters, adapterSettings{Type: kind, Endpoint: service.URL})
	}
	p := startProcess(t, set)

	var shoots []*shoot
	for kind, data := range credentials {
		s := w.newShootIn(w.shootNamespace(), v1alpha1.Ranges{Nodes: new("custom+prefix/96"), Pods: new("v6fromNode"), Services: new("v6global/112")})
		s.provider = kind
		s.setCredentials(data)
		s.createInfrastructure(nil)
		s.createNetwork()
		s.providerWrites(gardencorev1beta1.LastOperationStateSucceeded, nil)
		shoots = append(shoots, s)
	}
	enough := func(n int) {
		for kind, service := range services {
			before := service.count()
			w.Eventually(service.count).Should(BeNumerically(">=", before+n), kind)
		}
	}
	enough(30)
	for _, s := range shoots {
		s.Eventually(func() string {
			if c := s.bound("services-ipv6")(); c != nil && c.Reason != "Allocating" {
				return c.Message
			}
			return ""
		}).ShouldNot(BeEmpty(), "it says what fails")
		s.end()
	}
	enough(10)
	p.stop()

	var secrets []string
	for _, data := range credentials {
		for key, value := range data {
			if key == "authURL" || key == "domainName" || key == "tenantName" || key == "serviceaccount.json" {
				continue
			}
			secrets = append(secrets, value, base64.StdEncoding.EncodeToString([]byte(value)))
		}
	}
	block := strings.Split(credentials["gcp"]["serviceaccount.json"], `\n`)
	secrets = append(secrets, block[1], block[5])
	for _, service := range services {
		for told := range service.told {
			secrets = append(secrets, told)
		}
	}
	t.Logf("looking for %d secrets", len(secrets))
	w.Expect(len(secrets)).To(BeNumerically(">", 10), "the services were shown some")
	for where, text := range w.allToRead(p) {
		w.Expect(text).NotTo(BeEmpty(), where)
		for _, secret := range secrets {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s show a credential: …%.200s…", where, text[max(0, at-100):])
			}
		}
	}
}

// allToRead is what others may read of the shoots, and the log of the process.
func (w *world) allToRead(p *process) map[string]string {
	texts := map[string]string{"the log": p.output.String()}
	for where, list := range map[string]client.ObjectList{
		"the reservations": &v1alpha1.PrefixReservationList{}, "the Infrastructures": &extensionsv1alpha1.InfrastructureList{},
		"the Networks": &extensionsv1alpha1.NetworkList{}, "the events": &eventsv1.EventList{}, "the Clusters": &extensionsv1alpha1.ClusterList{},
		"the ConfigMaps": &corev1.ConfigMapList{}, "the namespaces": &corev1.NamespaceList{},
	} {
		w.Expect(w.env.Client.List(wctx, list)).To(Succeed())
		text, err := json.Marshal(list)
		w.Expect(err).NotTo(HaveOccurred())
		texts[where] = string(text)
	}
	return texts
}

func serviceAccount(t *testing.T, url string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "s3cret-key-id-77aa", "client_email": "robot@p.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": fmt.Sprintf("%s/token", url),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
