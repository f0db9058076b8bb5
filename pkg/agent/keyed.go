// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/podip"
)

// keyed is a lock for each attachment: the runtime may call DEL while its ADD, which it has given up, still runs. Its zero value is
// ready.
type keyed struct {
	mu    sync.Mutex
	locks map[podip.Key]*keyLock
}

type keyLock struct {
	sync.Mutex
	users int
}

// lock waits for the key and returns what unlocks it.
func (k *keyed) lock(key podip.Key) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[podip.Key]*keyLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyLock{}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}

// tryLock is lock for those who would rather not wait.
func (k *keyed) tryLock(key podip.Key) (unlock func(), ok bool) {
	k.mu.Lock()
	_, taken := k.locks[key]
	if taken {
		k.mu.Unlock()
		return nil, false
	}
	if k.locks == nil {
		k.locks = map[podip.Key]*keyLock{}
	}
	l := &keyLock{users: 1}
	l.Lock()
	k.locks[key] = l
	k.mu.Unlock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}, true
}
