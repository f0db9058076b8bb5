// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Command linkcheck finds links in the repository's Markdown files that lead nowhere: to a file that is not in the repository, or to a
// heading that the file does not have. It follows no link to the network.
package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	problems, files, err := check(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "linkcheck:", err)
		os.Exit(2)
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		fmt.Fprintf(os.Stderr, "linkcheck: %d links lead nowhere, in %d files\n", len(problems), files)
		os.Exit(1)
	}
}

// check reads every Markdown file of the repository at root. A problem is "file:line: what".
func check(root string) (problems []string, count int, err error) {
	tracked, err := trackedFiles(root)
	if err != nil {
		return nil, 0, err
	}
	c := checker{root: root, exists: map[string]bool{}, documents: map[string]document{}}
	for _, f := range tracked {
		c.exists[f] = true
		// A folder is there if a file in it is.
		for dir := filepath.Dir(f); dir != "."; dir = filepath.Dir(dir) {
			c.exists[dir] = true
		}
	}
	c.exists["."] = true
	for _, f := range tracked {
		if filepath.Ext(f) != ".md" {
			continue
		}
		count++
		doc, err := c.document(f)
		if err != nil {
			return nil, 0, err
		}
		for _, l := range doc.links {
			if what := c.follow(f, l.target); what != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: %s", f, l.line, what))
			}
		}
	}
	slices.Sort(problems)
	return problems, count, nil
}

// trackedFiles are those in git, and those that would be if they were added: a link to an ignored file is broken for everybody else.
func trackedFiles(root string) ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w: %s", root, err, stderr.String())
	}
	var files []string
	for f := range strings.SplitSeq(string(out), "\x00") {
		if f == "" {
			continue
		}
		// git lists deleted files until the deletion is committed.
		if _, err := os.Lstat(filepath.Join(root, f)); err == nil {
			files = append(files, f)
		}
	}
	return files, nil
}

type checker struct {
	root      string
	exists    map[string]bool
	documents map[string]document
}

func (c *checker) document(file string) (document, error) {
	if d, ok := c.documents[file]; ok {
		return d, nil
	}
	text, err := os.ReadFile(filepath.Join(c.root, file)) //nolint:gosec // the name is git's
	if err != nil {
		return document{}, err
	}
	d := parse(string(text))
	c.documents[file] = d
	return d, nil
}

// follow says what is wrong with a link of the file, nothing if it leads somewhere.
func (c *checker) follow(file, target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Sprintf("link %q can't be read: %v", target, err)
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	to := file
	if strings.HasPrefix(u.Path, "/") {
		to = filepath.Clean(strings.TrimPrefix(u.Path, "/"))
	} else if u.Path != "" {
		to = filepath.Join(filepath.Dir(file), u.Path)
	}
	switch {
	case to == ".." || strings.HasPrefix(to, "../"):
		return fmt.Sprintf("link %q leads out of the repository", target)
	case !c.exists[to]:
		return fmt.Sprintf("link %q: there is no %s", target, to)
	case u.Fragment == "" || filepath.Ext(to) != ".md":
		return ""
	}
	doc, err := c.document(to)
	if err != nil {
		return fmt.Sprintf("link %q: %v", target, err)
	}
	if !doc.anchors[u.Fragment] {
		return fmt.Sprintf("link %q: %s has no heading #%s", target, to, u.Fragment)
	}
	return ""
}
