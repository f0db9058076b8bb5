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
	l, _ := k.enter(key, true)
	l.Lock()
	return func() { k.leave(key, l) }
}

// tryLock is lock for those who would rather not wait.
func (k *keyed) tryLock(key podip.Key) (unlock func(), ok bool) {
	l, ok := k.enter(key, false)
	if !ok {
		return nil, false
	}
	l.Lock() // nobody else knows of it, or waits behind
	return func() { k.leave(key, l) }, true
}

// enter counts a user of the key's lock. With shared false it does so only if there is none yet.
func (k *keyed) enter(key podip.Key, shared bool) (*keyLock, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.locks[key]
	if l != nil && !shared {
		return nil, false
	}
	if l == nil {
		if k.locks == nil {
			k.locks = map[podip.Key]*keyLock{}
		}
		l = &keyLock{}
		k.locks[key] = l
	}
	l.users++
	return l, true
}

func (k *keyed) leave(key podip.Key, l *keyLock) {
	l.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(k.locks, key)
	}
}
