// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package ctl_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

var tomorrow = time.Date(2126, 3, 4, 5, 6, 7, 0, time.UTC)

// seedOf three shoots: one lives, one waits, one is gone and one has moved away.
func seedOf(w *world) {
	w.reservation("shoot--dev--demo", "services-ipv6", "demo", v1alpha1.RangeServices, bound("2001:db8:0:2::/64", "2001:db8:0:2::/112"))
	w.reservation("shoot--dev--demo", "nodes-ipv6", "demo", v1alpha1.RangeNodes, bound("2001:db8:0:1::/64", "2001:db8:0:1::/64"))
	w.reservation("shoot--dev--waits", "nodes-ipv6", "waits", v1alpha1.RangeNodes, v1alpha1.PrefixReservationStatus{
		Phase: v1alpha1.PhaseFailed, Backend: "neutron", Attempt: 2, Conditions: conditions(metav1.ConditionFalse, "QuotaExceeded", "the quota is used up"),
	})
	w.reservation("shoot--dev--new", "nodes-ipv6", "new", v1alpha1.RangeNodes, v1alpha1.PrefixReservationStatus{})
	w.reservation("extension", "released-1", "demo", v1alpha1.RangeNodes, quarantined("2001:db8:0:3::/64", tomorrow))
	w.reservation("extension", "released-2", "away", v1alpha1.RangeNodes, quarantined("2001:db8:0:4::/64", time.Time{}))
	w.reservation("shoot--dev--leaving", "nodes-ipv6", "leaving", v1alpha1.RangeNodes, bound("2001:db8:0:5::/64", "2001:db8:0:5::/64"),
		func(r *v1alpha1.PrefixReservation) {
			r.Annotations = map[string]string{"ipv6.networking.extensions.gardener.cloud/moved": "true"}
		})
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.Expect(w.run("list")).To(Equal(answer{out: "No reservations.\n"}))
	w.Expect(w.run("list", "-o", "json")).To(Equal(answer{out: "{\n  \"reservations\": []\n}\n"}))
	seedOf(w)
	w.Expect(w.run("list")).To(Equal(answer{out: table(
		`NAMESPACE             NAME            SHOOT                RANGE      PHASE         PREFIX              PUBLISHED            BACKEND   AGE   UNTIL`,
		`extension             released-2      garden-dev/away      nodes      Moved         2001:db8:0:4::/64   2001:db8:0:4::/64    pool      <1m   -`,
		`shoot--dev--demo      nodes-ipv6      garden-dev/demo      nodes      Bound         2001:db8:0:1::/64   2001:db8:0:1::/64    pool      <1m   -`,
		`shoot--dev--demo      services-ipv6   garden-dev/demo      services   Bound         2001:db8:0:2::/64   2001:db8:0:2::/112   pool      <1m   -`,
		`extension             released-1      garden-dev/demo      nodes      Quarantined   2001:db8:0:3::/64   2001:db8:0:3::/64    pool      <1m   2126-03-04T05:06:07Z`,
		`shoot--dev--leaving   nodes-ipv6      garden-dev/leaving   nodes      Moved         2001:db8:0:5::/64   2001:db8:0:5::/64    pool      <1m   -`,
		`shoot--dev--new       nodes-ipv6      garden-dev/new       nodes      Pending       -                   -                    -         <1m   -`,
		`shoot--dev--waits     nodes-ipv6      garden-dev/waits     nodes      Failed        -                   -                    neutron   <1m   -`,
	)}))
}

func TestListFilters(t *testing.T) {
	w := newWorld(t)
	seedOf(w)
	w.Expect(w.run("list", "-n", "shoot--dev--demo")).To(Equal(answer{out: table(
		`NAME            SHOOT             RANGE      PHASE   PREFIX              PUBLISHED            BACKEND   AGE   UNTIL`,
		`nodes-ipv6      garden-dev/demo   nodes      Bound   2001:db8:0:1::/64   2001:db8:0:1::/64    pool      <1m   -`,
		`services-ipv6   garden-dev/demo   services   Bound   2001:db8:0:2::/64   2001:db8:0:2::/112   pool      <1m   -`,
	)}))
	w.Expect(w.run("list", "--all-namespaces", "--phase", "moved,failed", "-o", "wide")).To(Equal(answer{out: table(
		`NAMESPACE             NAME         SHOOT                RANGE   PHASE    PREFIX              PUBLISHED           BACKEND   AGE   UNTIL   ID       OWNER                                   REASON`,
		`extension             released-2   garden-dev/away      nodes   Moved    2001:db8:0:4::/64   2001:db8:0:4::/64   pool      <1m   -       rack-7   v1/my-garden/uid-away/nodes-ipv6/1      Quarantined`,
		`shoot--dev--leaving   nodes-ipv6   garden-dev/leaving   nodes   Moved    2001:db8:0:5::/64   2001:db8:0:5::/64   pool      <1m   -       rack-7   v1/my-garden/uid-leaving/nodes-ipv6/1   Bound`,
		`shoot--dev--waits     nodes-ipv6   garden-dev/waits     nodes   Failed   -                   -                   neutron   <1m   -       -        v1/my-garden/uid-waits/nodes-ipv6/2     QuotaExceeded`,
	)}))
	w.Expect(w.run("list", "--backend", "neutron").out).To(HaveSuffix("neutron   <1m   -\n"))
	w.Expect(w.run("list", "--backend", "nobody")).To(Equal(answer{out: "No reservations.\n"}))
	w.Expect(w.run("list", "--phase", "Bond")).To(Equal(answer{
		err: "ipv6ctl: --phase: \"Bond\" is none of Pending, Allocating, Bound, Releasing, Quarantined, Failed, Moved\n", code: 1,
	}))
	w.Expect(w.run("list", "-o", "yaml")).To(Equal(answer{err: "ipv6ctl: --output: \"yaml\" is none of table, wide and json\n", code: 1}))
}

// The JSON is kept from release to release: scripts read it.
func TestListJSON(t *testing.T) {
	w := newWorld(t)
	r := w.reservation("extension", "released-1", "demo", v1alpha1.RangeServices, quarantined("2001:db8:0:3::/64", tomorrow))
	got := w.run("list", "-o", "json")
	w.Expect(got.code).To(BeZero())
	w.Expect(got.out).To(Equal(strings.ReplaceAll(`{
  "reservations": [
    {
      "namespace": "extension",
      "name": "released-1",
      "shoot": "garden-dev/demo",
      "shootUID": "uid-demo",
      "range": "services",
      "family": "IPv6",
      "scope": "Global",
      "phase": "Quarantined",
      "prefixLength": 64,
      "publishedLength": 112,
      "prefix": "2001:db8:0:3::/64",
      "published": "2001:db8:0:3::/64",
      "backend": "pool",
      "id": "rack-7",
      "attempt": 1,
      "ownerKey": "v1/my-garden/uid-demo/services-ipv6/1",
      "ownerHash": "c79653038859b716f18653f144272298",
      "created": "CREATED",
      "until": "2126-03-04T05:06:07Z",
      "reason": "Quarantined",
      "message": "the shoot is gone"
    }
  ]
}
`, "CREATED", r.CreationTimestamp.UTC().Format(time.RFC3339))))
	w.Expect(json.Valid([]byte(got.out))).To(BeTrue())
}

func TestErrors(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	const doing = "ipv6ctl: listing the PrefixReservations: "

	// Somebody without rights.
	_, kubeconfig := env.AddUser(t, "stranger")
	stranger := filepath.Join(dir, "stranger")
	w.Expect(os.WriteFile(stranger, kubeconfig, 0o600)).To(Succeed())
	w.Expect(w.runAs(stranger, "list")).To(Equal(answer{code: 1, err: doing + "you are not allowed to: " +
		`prefixreservations.ipv6.networking.extensions.gardener.cloud is forbidden: User "stranger" cannot list resource "prefixreservations" in API group ` +
		"\"ipv6.networking.extensions.gardener.cloud\" at the cluster scope\n"}))

	config, err := clientcmd.LoadFromFile(w.kubeconfig)
	w.Expect(err).NotTo(HaveOccurred())
	server := config.Clusters[config.Contexts[config.CurrentContext].Cluster].Server

	// Nobody.
	anonymous := filepath.Join(dir, "anonymous")
	for _, user := range config.AuthInfos {
		user.ClientCertificateData, user.ClientKeyData, user.Token = nil, nil, "nonsense"
	}
	w.Expect(clientcmd.WriteToFile(*config, anonymous)).To(Succeed())
	w.Expect(w.runAs(anonymous, "list")).To(Equal(answer{code: 1, err: doing + "the API server at " + server +
		" does not know you: renew the kubeconfig (context \"" + config.CurrentContext + "\")\n"}))

	// No API server.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.Expect(err).NotTo(HaveOccurred())
	address := listener.Addr().String()
	w.Expect(listener.Close()).To(Succeed())
	config.Clusters[config.Contexts[config.CurrentContext].Cluster].Server = "https://" + address
	down := filepath.Join(dir, "down")
	w.Expect(clientcmd.WriteToFile(*config, down)).To(Succeed())
	w.Expect(w.runAs(down, "list")).To(Equal(answer{code: 1, err: doing + "the API server at https://" + address +
		" does not answer: dial tcp " + address + ": connect: connection refused\n"}))

	// No kubeconfig, none that names one, no such context.
	t.Setenv("HOME", dir)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	w.Expect(w.runAs("", "list")).To(Equal(answer{code: 1,
		err: "ipv6ctl: there is no kubeconfig: name the file with the access to the seed by --kubeconfig or KUBECONFIG\n"}))
	w.Expect(w.runAs("", "list", "--kubeconfig", filepath.Join(dir, "none"))).To(Equal(answer{code: 1,
		err: "ipv6ctl: reading the kubeconfig: stat " + filepath.Join(dir, "none") + ": no such file or directory\n"}))
	w.Expect(w.run("list", "--context", "elsewhere")).To(Equal(answer{code: 1,
		err: "ipv6ctl: reading the kubeconfig: context \"elsewhere\" does not exist\n"}))
	w.Expect(w.runAs("", "list", "--kubeconfig", w.kubeconfig)).To(Equal(answer{out: "No reservations.\n"}))
}

// An API server that is no seed's.
func TestNoSeed(t *testing.T) {
	w := newWorld(t)
	plain := envtest.Start(t)
	kubeconfig := plain.KubeconfigFile(t)
	config, err := clientcmd.LoadFromFile(kubeconfig)
	w.Expect(err).NotTo(HaveOccurred())
	server := config.Clusters[config.Contexts[config.CurrentContext].Cluster].Server
	for _, c := range []struct {
		args  []string
		doing string
	}{
		{[]string{"list"}, "listing the PrefixReservations"},
		{[]string{"explain", "nodes-ipv6", "-n", "default"}, "reading PrefixReservation default/nodes-ipv6"},
		{[]string{"release", "default/nodes-ipv6", "--yes"}, "reading PrefixReservation default/nodes-ipv6"},
	} {
		w.Expect(w.runAs(kubeconfig, c.args...)).To(Equal(answer{code: 1, err: "ipv6ctl: " + c.doing + ": the API server at " + server +
			" knows no such objects: it is none of a seed that has gardener-extension-networking-ipv6 (context \"" + config.CurrentContext + "\")\n"}))
	}
}
