// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
)

func secret(password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "tor"}, Data: map[string][]byte{"password": []byte(password), "other": []byte("x")},
	}
}

func TestPasswordsAreFollowedAndKept(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset(secret("first"))
	p, err := WatchPasswords(t.Context(), client, fullBGP())
	g.Expect(err).NotTo(HaveOccurred())
	view := func() string {
		passwords, known, problems := p.Passwords()
		return fmt.Sprint(passwords, known, problems)
	}
	g.Eventually(view).Should(Equal("map[tor:first] true []"))
	g.Eventually(p.Changed()).Should(Receive())
	secrets := client.CoreV1().Secrets("kube-system")

	_, err = secrets.Update(t.Context(), secret("second"), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(p.Changed()).Should(Receive())
	g.Expect(view()).To(Equal("map[tor:second] true []"))

	_, err = secrets.Update(t.Context(), secret(""), metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(view).Should(Equal("map[tor:second] true [{PasswordMissing the Secret tor with the password of BGP peers has no key \"password\" any more: " +
		"their sessions keep the last one until the agent starts anew false}]"))
	g.Expect(secrets.Delete(t.Context(), "tor", metav1.DeleteOptions{})).To(Succeed())
	g.Eventually(view).Should(ContainSubstring("map[tor:second] true [{PasswordMissing the Secret tor with the password of BGP peers was deleted"))

	_, err = secrets.Create(t.Context(), secret("third\r\n"), metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(view).Should(Equal("map[tor:third] true []"))
}

func TestSecretsAreTrimmed(t *testing.T) {
	g := NewWithT(t)
	out, err := trimSecret(secret("x"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out.(*corev1.Secret).Data).To(Equal(map[string][]byte{"password": []byte("x")}))
}

// What is not needed is not asked for: the agent may not even be allowed to.
func TestNothingIsWatchedWithoutNeed(t *testing.T) {
	routed := agentconfig.Config{RoutingMode: agentconfig.Routed, IPFamilies: []string{"IPv6"}}
	prefixesOnly := fullBGP()
	prefixesOnly.BGP.Advertise = agentconfig.Advertise{NodePrefixes: true}
	prefixesOnly.BGP.Peers[0].PasswordSecret = ""
	for _, cfg := range []agentconfig.Config{routed, prefixesOnly} {
		g := NewWithT(t)
		client := fake.NewClientset()
		services, err := WatchServices(t.Context(), client, "n1", cfg)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(services).To(BeNil())
		passwords, err := WatchPasswords(t.Context(), client, cfg)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(passwords).To(BeNil())
		g.Expect(client.Actions()).To(BeEmpty())
	}
}
