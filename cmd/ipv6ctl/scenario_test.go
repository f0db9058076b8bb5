// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

var update = flag.Bool("update", false, "write what the commands print into the scenarios")

// run runs the program as main does; files are looked for in dir.
func run(dir, stdin string, args ...string) (stdout, stderr string, code int) {
	for i, arg := range args {
		if i > 0 && (args[i-1] == "-f" || args[i-1] == "--seed" || args[i-1] == "--config") && arg != "-" {
			args[i] = filepath.Join(dir, arg)
		}
	}
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	if err := cmd.Execute(); err != nil {
		stderr, code = message(err)+"\n", 1
	}
	if dir != "" {
		stderr = strings.ReplaceAll(stderr, dir+string(filepath.Separator), "")
	}
	return out.String(), stderr, code
}

// TestScenarios runs the commands of testdata/*.txtar. The comment of a scenario holds one command, its files are what the command
// reads, and what it prints: stdout, and stderr if it ends with exit code 1.
func TestScenarios(t *testing.T) {
	scenarios, err := filepath.Glob("testdata/*.txtar")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(scenarios).NotTo(BeEmpty())
	for _, path := range scenarios {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			g := NewWithT(t)
			text, err := os.ReadFile(path)
			g.Expect(err).NotTo(HaveOccurred())
			scenario := parseArchive(string(text))
			dir, stdin := t.TempDir(), ""
			want := map[string]string{}
			var inputs []file
			for _, f := range scenario.files {
				switch f.name {
				case "stdout", "stderr":
					want[f.name] = f.data
					continue
				case "stdin":
					stdin = f.data
				default:
					g.Expect(os.WriteFile(filepath.Join(dir, f.name), []byte(f.data), 0o600)).To(Succeed())
				}
				inputs = append(inputs, f)
			}
			stdout, stderr, code := run(dir, stdin, command(t, scenario.comment)...)
			g.Expect(code == 1).To(Equal(stderr != ""))
			if *update {
				scenario.files = inputs
				for _, f := range []file{{"stdout", stdout}, {"stderr", stderr}} {
					if f.data != "" {
						scenario.files = append(scenario.files, f)
					}
				}
				g.Expect(os.WriteFile(path, []byte(scenario.String()), 0o600)).To(Succeed())
				return
			}
			g.Expect(stdout).To(Equal(want["stdout"]))
			g.Expect(stderr).To(Equal(want["stderr"]))
		})
	}
}

var quoted = regexp.MustCompile(`'[^']*'|\S+`)

// command is the line of the comment that starts with "$ ipv6ctl".
func command(t *testing.T, comment string) []string {
	t.Helper()
	for line := range strings.Lines(comment) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ipv6ctl ")
		if !ok {
			continue
		}
		var args []string
		for _, word := range quoted.FindAllString(rest, -1) {
			args = append(args, strings.Trim(word, "'"))
		}
		return args
	}
	t.Fatal("the scenario has no command")
	return nil
}

// TestDocumentation keeps docs/keywords.md true: the plan, the picture, and every message that it promises.
func TestDocumentation(t *testing.T) {
	g := NewWithT(t)
	data, err := os.ReadFile("../../docs/keywords.md")
	g.Expect(err).NotTo(HaveOccurred())
	doc := string(data)

	block := doc[strings.Index(doc, "$ ipv6ctl plan --nodes"):]
	block = block[:strings.Index(block, "```")]
	cmd, printed, _ := strings.Cut(block, "\n")
	stdout, stderr, _ := run("", "", command(t, cmd)...)
	g.Expect(stderr).To(BeEmpty())
	g.Expect(printed).To(Equal(stdout))

	picture, err := os.ReadFile("../../docs/images/plan.svg")
	g.Expect(err).NotTo(HaveOccurred())
	stdout, _, _ = run("", "", append(command(t, cmd), "-o", "svg")...)
	if *update {
		g.Expect(os.WriteFile("../../docs/images/plan.svg", []byte(stdout), 0o600)).To(Succeed())
	} else {
		g.Expect(string(picture)).To(Equal(stdout), "run the tests of this package with -update")
	}

	rows := regexp.MustCompile("(?m)^\\| `(nodes|pods|services): ([^`]*)`(?: with `(nodes|pods|services): ([^`]*)`)? \\| (.*) \\|$").FindAllStringSubmatch(doc, -1)
	g.Expect(len(rows)).To(BeNumerically(">=", 10))
	for _, row := range rows {
		args := []string{"plan", "--" + row[1], row[2]}
		if row[3] != "" {
			args = append(args, "--"+row[3], row[4])
		}
		_, stderr, code := run("", "", args...)
		g.Expect(code).To(Equal(1), row[0])
		g.Expect(stderr).To(ContainSubstring(row[5]), row[0])
	}
}

// TestIPAMDocumentation keeps the plan in docs/ipam.md true.
func TestIPAMDocumentation(t *testing.T) {
	g := NewWithT(t)
	doc, err := os.ReadFile("../../docs/ipam.md")
	g.Expect(err).NotTo(HaveOccurred())
	_, block, found := strings.Cut(string(doc), "```text\n   $ ipv6ctl plan")
	g.Expect(found).To(BeTrue())
	block, _, _ = strings.Cut(block, "```")
	args, printed, _ := strings.Cut(strings.ReplaceAll(block, "\n   ", "\n"), "\n") // it is a part of a list
	printed = strings.TrimRight(printed, " ")
	stdout, stderr, _ := run("../..", "", command(t, "$ ipv6ctl plan"+args)...)
	g.Expect(stderr).To(BeEmpty())
	g.Expect(printed).To(Equal(stdout))
}

func TestPicturesAreWellFormed(t *testing.T) {
	for _, args := range [][]string{
		{"--nodes", "v6global/64+prefix/96", "--pods", "v6fromNode", "--services", "v6global/64"},
		{"--nodes", "custom+prefix/96,nov4", "--pods", "v6fromNode/110", "--services", "v6private"},
		{"--nodes", "v6global,v4private", "--pods", "v6global,v4private", "--services", "v6private,v4private"},
		{"--nodes", "custom"},
	} {
		g := NewWithT(t)
		stdout, stderr, _ := run("", "", append(append([]string{"plan"}, args...), "-o", "svg")...)
		g.Expect(stderr).To(BeEmpty())
		decoder, depth := xml.NewDecoder(strings.NewReader(stdout)), 0
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			g.Expect(err).NotTo(HaveOccurred())
			switch token.(type) {
			case xml.StartElement:
				depth++
			case xml.EndElement:
				depth--
			}
		}
		g.Expect(depth).To(BeZero())
	}
}
