// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package example_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	confighelper "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/helper"
	ipv6validation "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
)

var yamlBlock = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```")

// networkConfig matches a part of a NetworkConfig that begins with one of its fields.
var networkConfig = regexp.MustCompile("^(ranges|nodePrefix|routing|encapsulation|loadBalancer|podSupernet|mtu):")

// What the documentation tells operators and owners to write is valid: whole documents, and the part of a configuration that begins
// with its backends.
func TestDocumentedConfigurations(t *testing.T) {
	const (
		whole = "apiVersion: ipv6.networking.extensions.config.gardener.cloud/v1alpha1\nkind: ControllerConfiguration\n"
		home  = "gardenID: garden\nseedName: seed\n"
	)
	pages, err := filepath.Glob("../docs/*.md")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	backends, err := filepath.Glob("../docs/ipam/*.md")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	found := map[string]int{}
	for _, page := range slices.Concat(pages, backends) {
		t.Run(filepath.Base(page), func(t *testing.T) {
			g := NewWithT(t)
			text, err := os.ReadFile(page)
			g.Expect(err).NotTo(HaveOccurred())
			for _, match := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
				block := strings.TrimPrefix(strings.ReplaceAll("\n"+match[2], "\n"+match[1], "\n"), "\n")
				switch {
				case strings.HasPrefix(block, "backends:"):
					block = whole + home + block
				case strings.HasPrefix(block, whole):
				case strings.HasPrefix(block, "apiVersion: ipv6.networking.extensions.gardener.cloud/"), networkConfig.MatchString(block):
					config, err := helper.DecodeNetworkConfig(&runtime.RawExtension{Raw: []byte(block)})
					g.Expect(err).NotTo(HaveOccurred(), block)
					g.Expect(ipv6validation.ValidateNetworkConfig(config, field.NewPath("providerConfig"))).To(BeEmpty(), block)
					continue
				default:
					continue
				}
				_, err := confighelper.Read([]byte(block))
				g.Expect(err).NotTo(HaveOccurred(), block)
				found[page]++
			}
		})
	}
	g := NewWithT(t)
	g.Expect(found).To(HaveKeyWithValue("../docs/ipam.md", BeNumerically(">=", 2)))
	for _, kind := range []v1alpha1.BackendType{
		v1alpha1.BackendOpenStack, v1alpha1.BackendAWS, v1alpha1.BackendGCP, v1alpha1.BackendClusterAPI, v1alpha1.BackendIronCore,
	} {
		g.Expect(found).To(HaveKey("../docs/ipam/"+string(kind)+".md"), "the page of a backend shows a configuration that begins with \"backends:\"")
	}
}
