// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	gardenextensions "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
)

// seed is the API server of a seed, as the kubeconfig names it.
type seed struct {
	kubeconfig, context string

	client.Client
	server, current string // of the kubeconfig, for messages
}

// answerWithin is how long the API server may take to answer a request.
const answerWithin = 20 * time.Second

func newReservationsCommand() *cobra.Command {
	s := &seed{}
	cmd := &cobra.Command{
		Use:     "reservations",
		Aliases: []string{"reservation", "pfxres"},
		Short:   "Look at a seed's prefix reservations, and end what nobody else ends",
		Long: `Look at a seed's prefix reservations, and end what nobody else ends. These commands talk to the API server of a seed, and to nothing else:
neither to a cloud nor to the garden.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&s.kubeconfig, "kubeconfig", "", "file with the access to the seed; KUBECONFIG, or ~/.kube/config, if empty")
	cmd.PersistentFlags().StringVar(&s.context, "context", "", "context of the kubeconfig; the current one if empty")
	cmd.AddCommand(newListCommand(s), newExplainReservationCommand(s), newReleaseCommand(s))
	return cmd
}

// connect reads the kubeconfig. What kinds of objects there are is known, so nobody is asked.
func (s *seed) connect() error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = s.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: s.context})
	raw, err := loader.RawConfig()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config, err := loader.ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err):
		return errors.New("there is no kubeconfig: name the file with the access to the seed by --kubeconfig or KUBECONFIG")
	case err != nil:
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.Timeout = answerWithin
	s.server, s.current = config.Host, raw.CurrentContext
	if s.context != "" {
		s.current = s.context
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, gardenextensions.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	s.Client, err = client.New(config, client.Options{Scheme: scheme, Mapper: kinds()})
	return err
}

func kinds() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion, gardenextensions.SchemeGroupVersion, v1alpha1.SchemeGroupVersion})
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	mapper.Add(gardenextensions.SchemeGroupVersion.WithKind("Cluster"), meta.RESTScopeRoot)
	mapper.Add(gardenextensions.SchemeGroupVersion.WithKind("Infrastructure"), meta.RESTScopeNamespace)
	mapper.Add(v1alpha1.SchemeGroupVersion.WithKind("PrefixReservation"), meta.RESTScopeNamespace)
	return mapper
}

// failed says of an error of the API server what a person can do about it.
func (s *seed) failed(doing string, err error) error {
	var unreachable *url.Error
	switch {
	case err == nil:
		return nil
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the API server at %s does not know you: renew the kubeconfig (context %q)", doing, s.server, s.current)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: you are not allowed to: %w", doing, errors.New(strings.TrimSpace(err.Error())))
	case apierrors.IsNotFound(err) && unknownKind(err):
		return fmt.Errorf("%s: the API server at %s knows no such objects: it is none of a seed that has gardener-extension-networking-ipv6 (context %q)",
			doing, s.server, s.current)
	case apierrors.IsConflict(err):
		return fmt.Errorf("%s: somebody else changed it meanwhile: look again", doing)
	case errors.As(err, &unreachable):
		return fmt.Errorf("%s: the API server at %s does not answer: %w", doing, s.server, unreachable.Err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// unknownKind tells a kind that is not served from an object that is not there: to the former no API answers, but the server itself.
func unknownKind(err error) bool {
	_, unexpected := apierrors.StatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
	return unexpected
}
