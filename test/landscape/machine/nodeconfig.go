// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener-extension-networking-ipv6/test/landscape/image"
)

// kubeletConfig renders kubelet's configuration file.
func kubeletConfig(cfg NodeConfig, paths kubeletPaths) ([]byte, error) {
	maxPods := cfg.MaxPods
	if maxPods == 0 {
		maxPods = 60
	}
	var dns []string
	for _, a := range cfg.ClusterDNS {
		dns = append(dns, a.String())
	}
	no, yes := false, true
	percent := func(p int32) *int32 { return &p }
	text, err := yaml.Marshal(kubeletv1beta1.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: kubeletv1beta1.SchemeGroupVersion.String(), Kind: "KubeletConfiguration"},
		Address:  "::",
		Authentication: kubeletv1beta1.KubeletAuthentication{
			Anonymous: kubeletv1beta1.KubeletAnonymousAuthentication{Enabled: &no},
			Webhook:   kubeletv1beta1.KubeletWebhookAuthentication{Enabled: &yes},
			X509:      kubeletv1beta1.KubeletX509Authentication{ClientCAFile: paths.clientCA},
		},
		Authorization:            kubeletv1beta1.KubeletAuthorization{Mode: kubeletv1beta1.KubeletAuthorizationModeWebhook},
		TLSCertFile:              paths.cert,
		TLSPrivateKeyFile:        paths.key,
		CgroupDriver:             "cgroupfs",
		FailCgroupV1:             &no,
		FailSwapOn:               &no,
		ClusterDNS:               dns,
		ClusterDomain:            "cluster.local",
		ContainerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
		ResolverConfig:           &resolverConfig,
		HealthzBindAddress:       "::1",
		ProviderID:               cfg.ProviderID,
		MaxPods:                  int32(maxPods), // #nosec G115 -- a few dozen
		EvictionHard: map[string]string{"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%",
			"nodefs.inodesFree": "1%"},
		// images are imported, never pulled: none may be collected
		ImageGCHighThresholdPercent: percent(100),
		ImageGCLowThresholdPercent:  percent(99),
		NodeStatusUpdateFrequency:   metav1.Duration{Duration: 10 * time.Second},
		SyncFrequency:               metav1.Duration{Duration: 30 * time.Second},
	})
	if err != nil {
		return nil, fmt.Errorf("kubelet's configuration: %w", err)
	}
	return text, nil
}

// resolverConfig is the node's own resolv.conf, written by test/landscape/enter.
var resolverConfig = "/run/landscape/resolv.conf"

// containerdConfig renders containerd's configuration file.
//
// restrict_oom_score_adj lets runc start pods on machines where root lacks CAP_SYS_RESOURCE: a negative score is
// refused there, and runc dies of it.
func containerdConfig() string {
	return strings.ReplaceAll(`version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.opt",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "@PAUSE@"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "runc"
        SystemdCgroup = false
`, "@PAUSE@", image.Pause)
}
