// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// edit replaces text of a file, which must be there exactly once.
type edit struct{ file, old, new string }

// mutant is the product, or the little around it that the simulation models, with a bug.
type mutant struct {
	name  string
	edits []edit
}

const (
	core     = "pkg/reservation/protocol.go"
	keep     = "pkg/reservation/keep.go"
	release  = "pkg/reservation/release.go"
	sweeper  = "pkg/reservation/garbage.go"
	decision = "pkg/reservation/decide.go"
	tomb     = "pkg/reservation/tombstone.go"
	model    = "test/sim/api.go"
	around   = "test/sim/controller.go"
)

// mutants are the bugs that the simulation has to find. docs/decisions/0070-simulation.md tells after how many runs it does.
var mutants = []mutant{
	{"no look before the allocation", []edit{{core,
		"	record, allocation, err := p.one(ctx, record)\n	if err != nil {\n		return record, err\n	}\n	if !allocation",
		"	var allocation Allocation\n	if !allocation"}}},
	{"no look after the allocation", []edit{{core,
		"	record, seen, err := p.one(ctx, record)\n	if err != nil {\n		return record, Allocation{}, err\n	}\n",
		"	seen := allocation\n"}}},
	{"what is superfluous is not freed", []edit{{core, "return a.Prefix.Overlaps(keep) }))", "return keep.IsValid() || a.Prefix.IsValid() }))"}}},
	{"released on the word of an old record", []edit{{core,
		"	if err := p.Journal.Save(ctx, record); err != nil {\n		return fmt.Errorf(\"storing that %s is about to be released: %w\", ours[0].Prefix, err)\n	}\n", ""}}},
	{"what another seed holds is bound as it is", []edit{{core, "if p.foreign(allocation) {", "if false {"}}},
	{"the attempt is not raised after a refusal", []edit{{core,
		"	next := Record{Phase: record.Phase, Backend: record.Backend, Attempt: record.Attempt + 1}\n	if err := p.Journal.Save(ctx, next); err != nil {\n		return record, fmt.Errorf(\"storing attempt %d: %w\", next.Attempt, err)\n	}\n	if record.Attempt%tries",
		"	next := Record{Phase: record.Phase, Backend: record.Backend, Attempt: record.Attempt}\n	if record.Attempt%tries"}}},
	{"a burnt key of idempotency is asked with again", []edit{{core,
		"	next := Record{Phase: record.Phase, Backend: record.Backend, Attempt: record.Attempt + 1}\n	if err := p.Journal.Save(ctx, next); err != nil {\n		return record, Allocation{}",
		"	next := Record{Phase: record.Phase, Backend: record.Backend, Attempt: record.Attempt}\n	if err := p.Journal.Save(ctx, next); err != nil {\n		return record, Allocation{}"}}},
	{"restored with whatever is held", []edit{{keep,
		"if a, ok := covering(found, whole); ok {", "if a := append(found, Allocation{})[0]; a.Prefix.IsValid() {"}}},
	{"restored under its own attempt only", []edit{{keep, "if begins(a.Prefix, whole) {\n			return a, 0, nil", "if false {\n			return a, 0, nil"}}},
	{"what was lost is not claimed again", []edit{{keep, "if !ok || p.foreign(a) {", "if false {"}}},
	{"released without quarantine", []edit{{release, "if bury == nil || !record.Prefix.IsValid() {", "if bury == nil || record.Phase == Releasing {"}}},
	{"released although the other seed has it", []edit{{core, "	ours := slices.DeleteFunc(slices.Clone(found), p.foreign)", "	ours := found"}}},
	{"nothing is released after the quarantine", []edit{{release, "for range 2 {", "for range 0 {"}}},
	{"let go without a tombstone", []edit{{release, "	if len(ours) == 0 {\n		return nil\n	}", "	if len(ours) < 100 {\n		return nil\n	}"}}},
	{"garbage without grace", []edit{{sweeper, " || now.Sub(since) < s.Grace {", " || now.Before(since) {"}}},
	{"garbage at first sight", []edit{{sweeper, "if t.sweeps < cmp.Or(s.Sweeps, defaultSweeps) ||", "if t.sweeps < min(1, cmp.Or(s.Sweeps, defaultSweeps)) ||"}}},
	{"garbage of the other seed", []edit{
		{sweeper, "return a.Owner.GardenID == s.GardenID && (a.Seed == \"\" || a.Seed == s.Seed)", "return a.Owner.GardenID == s.GardenID"},
	}},
	{"garbage when nothing is listed", []edit{
		{sweeper, "	if err != nil || len(owners) == 0 {\n		return Report{}", "	if err != nil {\n		return Report{}"},
		{sweeper, "	if err != nil || len(owners) == 0 {\n		return err", "	if err != nil {\n		return err"},
	}},
	{"garbage in a dry run", []edit{{sweeper, "if s.DryRun {", "if s.DryRun && len(ripe) > 99 {"}}},
	{"released while it migrates", []edit{{decision, "return Migrate, \"the Infrastructure is being migrated\"", "return Release, \"the Infrastructure is being migrated\""}}},
	{"what is published is not restored", []edit{{decision, "	case published:\n		return Restore\n", ""}}},
	{"a tombstone ends although its owner is back", []edit{{tomb, "		if phase == Bound {\n			return Vanish\n		}", "		_ = phase"}, {tomb, "if len(heirs) > 0 || until.IsZero()", "if until.IsZero()"}}},
	{"reservations listed after it was read that the shoot is gone", []edit{
		{around, "	for _, o := range c.list() {\n		if o.namespace == name {\n			g.objects = append(g.objects, o)\n		}\n	}\n	there := false", "	there := false"},
		{around, "	return g, true\n", "	for _, o := range c.list() {\n		if o.namespace == name {\n			g.objects = append(g.objects, o)\n		}\n	}\n	return g, true\n"},
	}},
	{"a journal that ignores conflicts", []edit{{model, "		case s.objects[i].version != o.version:\n			return errConflict\n		}\n		next.deleted", "		}\n		next.deleted"}}},
	{"a ledger that is stored without a comparison", []edit{{model, "if s.booked != version {", "if s.booked < version {"}}},
}

// within so many runs each is found.
const within = 10_000

var firstLine = regexp.MustCompile(`^(\d+) runs in`)

// The simulation is worth something only if it finds bugs. Each of these is built and simulated until it is found.
func TestTeeth(t *testing.T) {
	if testing.Short() {
		t.Skip("LEFT OUT: the simulation's teeth; they take a minute of building. Run without -short.")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			out, err := exec.Command(m.build(t), "-runs", fmt.Sprint(within)).CombinedOutput()
			g.Expect(err).To(HaveOccurred(), "not found within %d runs", within)
			g.Expect(err).To(BeAssignableToTypeOf(&exec.ExitError{}))
			runs := firstLine.FindStringSubmatch(string(out))
			g.Expect(runs).NotTo(BeNil(), string(out))
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			t.Logf("| %s | %s | %s |", m.name, runs[1], lines[len(lines)-1])
		})
	}
}

// build makes the simulation with the bug in it.
func (m mutant) build(t *testing.T) string {
	t.Helper()
	g := NewWithT(t)
	root, err := filepath.Abs("../..")
	g.Expect(err).NotTo(HaveOccurred())
	dir := t.TempDir()
	texts := map[string]string{}
	for _, e := range m.edits {
		text, ok := texts[e.file]
		if !ok {
			raw, err := os.ReadFile(filepath.Join(root, e.file))
			g.Expect(err).NotTo(HaveOccurred())
			text = string(raw)
		}
		g.Expect(strings.Count(text, e.old)).To(Equal(1), "%s has to contain this exactly once:\n%s", e.file, e.old)
		texts[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		replacement := filepath.Join(dir, filepath.Base(file))
		g.Expect(os.WriteFile(replacement, []byte(text), 0o600)).To(Succeed())
		overlay.Replace[filepath.Join(root, file)] = replacement
	}
	raw, err := json.Marshal(overlay)
	g.Expect(err).NotTo(HaveOccurred())
	list, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sim")
	g.Expect(os.WriteFile(list, raw, 0o600)).To(Succeed())
	out, err := exec.Command("go", "build", "-overlay", list, "-o", program, ".").CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	return program
}
