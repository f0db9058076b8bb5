// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

// Package configmap keeps a reservation.Ledger in a ConfigMap. The API server's resource version makes every update a
// compare-and-swap: of two processes that read the same ledger only one can store its change.
package configmap

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
)

const dataKey = "ledger.json"

// Conflicts are with other processes only, and each of them means that somebody else got on: the delays are short and jittered.
var backoff = wait.Backoff{Duration: 5 * time.Millisecond, Factor: 1.5, Jitter: 1, Steps: 15, Cap: time.Second}

// Store is a reservation.Store in one ConfigMap.
type Store struct {
	reader client.Reader
	writer client.Writer
	key    client.ObjectKey
	// mu spares this process conflicts with itself; between processes the resource version decides.
	mu sync.Mutex
}

var _ reservation.Store = &Store{}

// New makes a Store. The reader must not be a cache: manager.GetAPIReader, not manager.GetClient.
func New(reader client.Reader, writer client.Writer, namespace, name string) *Store {
	return &Store{reader: reader, writer: writer, key: client.ObjectKey{Namespace: namespace, Name: name}}
}

// Read returns the ledger as the API server has it now.
func (s *Store) Read(ctx context.Context) (*reservation.Ledger, error) {
	_, ledger, err := s.get(ctx)
	return ledger, err
}

// Update changes the ledger by comparing and swapping the ConfigMap.
func (s *Store) Update(ctx context.Context, change func(*reservation.Ledger) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	var conflict error
	err := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		configMap, ledger, err := s.get(ctx)
		if err != nil {
			return false, err
		}
		changed := ledger.Clone()
		if err := change(changed); err != nil {
			return false, err
		}
		if changed.Equal(ledger) {
			return true, nil
		}
		err = s.put(ctx, configMap, changed)
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			conflict = err
			return false, nil
		}
		return err == nil, err
	})
	if wait.Interrupted(err) {
		return reservation.Errorf(reservation.Retry, "the ledger %s is changed by others all the time: %w (%w)", s.key, err, conflict)
	}
	return err
}

func (s *Store) get(ctx context.Context) (*corev1.ConfigMap, *reservation.Ledger, error) {
	configMap := &corev1.ConfigMap{}
	if err := s.reader.Get(ctx, s.key, configMap); err != nil {
		if apierrors.IsNotFound(err) {
			return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: s.key.Name}}, &reservation.Ledger{}, nil
		}
		return nil, nil, fmt.Errorf("reading the ledger %s: %w", s.key, err)
	}
	ledger := &reservation.Ledger{}
	if text := configMap.Data[dataKey]; text != "" {
		var err error
		if ledger, err = decodeList(text); err != nil {
			// Never start from an empty book when there is one that cannot be read.
			return nil, nil, fmt.Errorf("reading the ledger %s: %w", s.key, err)
		}
	}
	return configMap, ledger, nil
}

func (s *Store) put(ctx context.Context, configMap *corev1.ConfigMap, ledger *reservation.Ledger) error {
	text, err := encodeList(ledger)
	if err != nil {
		return fmt.Errorf("writing the ledger %s: %w", s.key, err)
	}
	configMap.Data = map[string]string{dataKey: string(text)}
	if configMap.ResourceVersion == "" {
		err = s.writer.Create(ctx, configMap)
	} else {
		err = s.writer.Update(ctx, configMap)
	}
	if err != nil {
		return fmt.Errorf("writing the ledger %s: %w", s.key, err)
	}
	return nil
}
