// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	confighelper "github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/config/helper"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/v1alpha1"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/apis/ipv6/validation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/keyword"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/plan"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/planview"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/prefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/reservation"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/shootplan"
)

// input is where the ranges come from: a file with a Shoot, or flags.
type input struct {
	file                  string
	seedFile              string
	nodes, pods, services string
	networkType           string
	ipFamilies            []string
	nodeMask              int
	podSupernet           string
	seedNetworks          []string
	config                string
	providerType, region  string
	ipamBackend, ipamPool string
	flags                 *pflag.FlagSet
}

// inputError is a mistake in what the user gave, in words that need no frame.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

func (in *input) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	in.flags = fs
	fs.StringVarP(&in.file, "filename", "f", "", "file with the Shoot, as it is written for kubectl apply or as kubectl get prints it; - is standard input")
	fs.StringVar(&in.seedFile, "seed", "", "file with the Seed, to check the ranges against its networks")
	fs.StringVar(&in.nodes, "nodes", "", "what to ask for in the nodes range, for example v6global/64+prefix/96")
	fs.StringVar(&in.pods, "pods", "", "what to ask for in the pods range, for example v6fromNode")
	fs.StringVar(&in.services, "services", "", "what to ask for in the services range, for example v6global/64")
	fs.StringVar(&in.networkType, "type", shootplan.NetworkType, "network type: ipv6, calico or cilium")
	fs.StringSliceVar(&in.ipFamilies, "ip-families", nil, "the Shoot's ipFamilies, if set, for example IPv6,IPv4")
	fs.IntVar(&in.nodeMask, "node-mask", 0, "the Shoot's nodeCIDRMaskSize for IPv6, if set")
	fs.StringVar(&in.podSupernet, "pod-supernet", "", "providerConfig.podSupernet, if set")
	fs.StringSliceVar(&in.seedNetworks, "seed-networks", nil, "CIDRs of the Seed, to check the ranges against")
	fs.StringVar(&in.config, "config", "", "file with the extension's ControllerConfiguration, to show which IPAM backend and pool serve")
	fs.StringVar(&in.providerType, "provider-type", "", "the Shoot's provider type, to choose a backend for")
	fs.StringVar(&in.region, "region", "", "the Shoot's region, to choose a backend for")
	fs.StringVar(&in.ipamBackend, "ipam-backend", "", "providerConfig.ipam.backend, if set")
	fs.StringVar(&in.ipamPool, "ipam-pool", "", "providerConfig.ipam.pool, if set")
	for _, flag := range []string{"nodes", "pods", "services", "provider-type", "region", "ipam-backend", "ipam-pool"} {
		cmd.MarkFlagsMutuallyExclusive("filename", flag)
	}
	cmd.MarkFlagsMutuallyExclusive("seed", "seed-networks")
}

// question is what the user wants to know about.
type question struct {
	ranges keyword.Ranges
	facts  plan.Facts
	// name of the Shoot, "" if the ranges come from flags.
	name string
	// chooser is nil without a configuration.
	chooser *planview.Chooser
	// network is the Shoot's providerConfig, nil if the ranges come from flags or the network type is another; providerType is the Shoot's.
	network      *v1alpha1.NetworkConfig
	providerType string
}

// plan builds the plan, and finds what the providerConfig has against it.
func (q question) plan() (plan.Plan, error) {
	p, err := plan.Build(q.ranges, q.facts)
	if err != nil || q.network == nil {
		return p, err
	}
	around := validation.Surroundings{Plan: p, Known: q.facts.Reserved, ProviderType: q.providerType}
	return p, readable(validation.ValidatePlanned(q.network, around, providerConfigPath).ToAggregate())
}

var providerConfigPath = field.NewPath("spec", "networking", "providerConfig")

// read gathers what the user gave.
func (in *input) read(stdin io.Reader) (question, error) {
	chooser, err := in.readConfig()
	if err != nil {
		return question{}, err
	}
	if in.file == "" {
		ranges, facts, err := in.fromFlags()
		return question{ranges: ranges, facts: facts, chooser: chooser}, err
	}
	shoot := &gardencorev1beta1.Shoot{}
	if err := readObject(in.file, stdin, "Shoot", shoot); err != nil {
		return question{}, err
	}
	var seed *gardencorev1beta1.Seed
	if in.seedFile != "" {
		seed = &gardencorev1beta1.Seed{}
		if err := readObject(in.seedFile, stdin, "Seed", seed); err != nil {
			return question{}, err
		}
	}
	network, err := readNetwork(shoot)
	if err != nil {
		return question{}, inputError{readable(err)}
	}
	ranges, facts, err := shootplan.Gather(shoot, seed)
	if err != nil {
		return question{}, inputError{readable(err)}
	}
	if facts.Reserved, err = reported(shoot); err != nil {
		return question{}, inputError{err}
	}
	if err := describe(shoot, chooser); err != nil {
		return question{}, inputError{err}
	}
	name := shoot.Name
	if shoot.Namespace != "" {
		name = shoot.Namespace + "/" + name
	}
	return question{ranges: ranges, facts: facts, name: name, chooser: chooser, network: network, providerType: shoot.Spec.Provider.Type}, nil
}

// readNetwork reads the Shoot's providerConfig. Mistakes in its ranges are left to those who read all of the Shoot's, and so is what
// cannot be decoded.
func readNetwork(shoot *gardencorev1beta1.Shoot) (*v1alpha1.NetworkConfig, error) {
	network, err := shootplan.Config(shoot)
	if err != nil || network == nil {
		return nil, nil //nolint:nilerr // shootplan.Gather says it with its place
	}
	judged := *network
	judged.Ranges = nil
	return network, validation.ValidateNetworkConfig(&judged, providerConfigPath).ToAggregate()
}

// readConfig reads the operator's configuration; nil without one.
func (in *input) readConfig() (*planview.Chooser, error) {
	if in.config == "" {
		return nil, nil
	}
	config, err := confighelper.Load(in.config)
	var mistakes utilerrors.Aggregate
	if errors.As(err, &mistakes) {
		return nil, inputError{fmt.Errorf("%s has mistakes:\n%w", in.config, readable(mistakes))}
	}
	if err != nil {
		return nil, inputError{err}
	}
	offers, err := confighelper.Offers(config)
	if err != nil {
		return nil, inputError{err}
	}
	return &planview.Chooser{
		Offers:  offers,
		Place:   reservation.Place{ProviderType: in.providerType, Region: in.region, Seed: config.SeedName},
		Backend: in.ipamBackend, Pool: in.ipamPool,
	}, nil
}

// describe tells the chooser about the Shoot.
func describe(shoot *gardencorev1beta1.Shoot, chooser *planview.Chooser) error {
	if chooser == nil {
		return nil
	}
	var err error
	chooser.Backend, chooser.Pool, err = shootplan.IPAM(shoot)
	chooser.Place.ProviderType, chooser.Place.Region = shoot.Spec.Provider.Type, shoot.Spec.Region
	if shoot.Spec.SeedName != nil {
		chooser.Place.Seed = *shoot.Spec.SeedName
	}
	return err
}

func (in *input) fromFlags() (keyword.Ranges, plan.Facts, error) {
	given := func(name string, value *string) *string {
		if !in.flags.Changed(name) {
			return nil
		}
		return value
	}
	nodes, pods, services := given("nodes", &in.nodes), given("pods", &in.pods), given("services", &in.services)
	if nodes == nil && pods == nil && services == nil {
		return keyword.Ranges{}, plan.Facts{}, errors.New("nothing to plan: give a Shoot with -f, or --nodes, --pods and --services")
	}
	ranges, err := keyword.ParseRanges(nodes, pods, services)
	if err != nil {
		return ranges, plan.Facts{}, inputError{err}
	}
	facts := plan.Facts{NetworkType: in.networkType, NodeMaskIPv6: in.nodeMask}
	for _, f := range in.ipFamilies {
		switch f {
		case prefix.IPv4.String():
			facts.IPFamilies = append(facts.IPFamilies, prefix.IPv4)
		case prefix.IPv6.String():
			facts.IPFamilies = append(facts.IPFamilies, prefix.IPv6)
		default:
			return ranges, facts, fmt.Errorf("--ip-families: %q is neither IPv4 nor IPv6", f)
		}
	}
	if in.podSupernet != "" {
		if facts.PodSupernet, err = netip.ParsePrefix(in.podSupernet); err != nil {
			return ranges, facts, fmt.Errorf("--pod-supernet: %w", err)
		}
	}
	for _, text := range in.seedNetworks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return ranges, facts, fmt.Errorf("--seed-networks: %w", err)
		}
		facts.SeedNetworks = append(facts.SeedNetworks, p.Masked())
	}
	return ranges, facts, nil
}

// reported are the ranges in the Shoot's status, by family.
func reported(shoot *gardencorev1beta1.Shoot) (map[plan.Key]netip.Prefix, error) {
	networking := shoot.Status.Networking
	if networking == nil {
		return nil, nil
	}
	found := map[plan.Key]netip.Prefix{}
	for name, cidrs := range map[keyword.Name][]string{
		keyword.Nodes: networking.Nodes, keyword.Pods: networking.Pods, keyword.Services: networking.Services,
	} {
		for _, text := range cidrs {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("status.networking.%s: %w", name, err)
			}
			found[plan.Key{Range: name, Family: prefix.FamilyOf(p.Addr())}] = p.Masked()
		}
	}
	return found, nil
}

// readObject decodes the first document of the kind in the file.
func readObject(file string, stdin io.Reader, kind string, into any) error {
	data, err := readFile(file, stdin)
	if err != nil {
		return err
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return inputError{fmt.Errorf("%s holds no %s", file, kind)}
		}
		if err != nil {
			return inputError{fmt.Errorf("%s: %w", file, err)}
		}
		var head struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(document, &head); err != nil {
			return inputError{fmt.Errorf("%s: %w", file, err)}
		}
		if head.Kind != kind {
			continue
		}
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			return inputError{fmt.Errorf("%s: %w", file, err)}
		}
		return nil
	}
}

func readFile(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file) //nolint:gosec // it is the user's own choice
}

// readable puts each error of an aggregate on a line of its own.
func readable(err error) error {
	var aggregate utilerrors.Aggregate
	if !errors.As(err, &aggregate) {
		return err
	}
	texts := make([]string, 0, len(aggregate.Errors()))
	for _, e := range aggregate.Errors() {
		texts = append(texts, e.Error())
	}
	return errors.New(strings.Join(texts, "\n"))
}
