// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package batchqueue

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/cache"
)

// A deletion that the watch missed comes as something else than the object.
func TestTombstoneOfTheCache(t *testing.T) {
	q := New("test")
	add(q, cache.DeletedFinalStateUnknown{Key: "default/a", Obj: nil})
	name, _ := q.Get()
	NewWithT(t).Expect(name).To(Equal("default/a"))
}
