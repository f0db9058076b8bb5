// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestCheck(t *testing.T) {
	g := NewWithT(t)
	root := t.TempDir()
	write := func(name, text string) {
		g.Expect(os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o750)).To(Succeed())
		g.Expect(os.WriteFile(filepath.Join(root, name), []byte(text), 0o600)).To(Succeed())
	}
	write("docs/page.md", "# The `page`: a *title*, with [a link](../README.md)\n## Twice\n## Twice\n<a id=\"hidden\"></a>\n")
	write("docs/image.svg", "")
	write("a (b).md", "")
	write(".gitignore", "ignored.md\n")
	write("ignored.md", "")
	write("README.md", `good: [page](docs/page.md), [folder](docs), [from the root](/docs/page.md "title"), ![image](docs/image.svg), [net](https://example.org/x.md#y),
[heading](docs/page.md#the-page-a-title-with-a-link), [second](docs/page.md#twice-1), [id](docs/page.md#hidden), <img src="docs/image.svg">, [blank](a%20(b).md), [mail](mailto:a@example.org)
bad: [gone](docs/gone.md) and [also gone](gone.svg)
[no heading](docs/page.md#none)
[out](../other.md)
[ignored](ignored.md)
[self](#nowhere)
<img src="nothing.png">
[ref]: reference.md
`+"in code: `[x](nowhere.md)`\n```md\n[x](nowhere.md)\n# nowhere\n```\n")
	init := exec.Command("git", "init", "-q", root)
	g.Expect(init.Run()).To(Succeed())

	problems, files, err := check(root)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(Equal(3))
	g.Expect(problems).To(Equal([]string{
		`README.md:3: link "docs/gone.md": there is no docs/gone.md`,
		`README.md:3: link "gone.svg": there is no gone.svg`,
		`README.md:4: link "docs/page.md#none": docs/page.md has no heading #none`,
		`README.md:5: link "../other.md" leads out of the repository`,
		`README.md:6: link "ignored.md": there is no ignored.md`,
		`README.md:7: link "#nowhere": README.md has no heading #nowhere`,
		`README.md:8: link "nothing.png": there is no nothing.png`,
		`README.md:9: link "reference.md": there is no reference.md`,
	}))
}

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{
		"What it is, and what it is not": "what-it-is-and-what-it-is-not",
		"`+prefix/n`":                    "prefixn",
		"NetworkConfig.ipv6.networking.extensions.gardener.cloud": "networkconfigipv6networkingextensionsgardenercloud",
		"A [link](x.md) and_under-score":                          "a-link-and_under-score",
	} {
		NewWithT(t).Expect(slug(title)).To(Equal(want))
	}
}
