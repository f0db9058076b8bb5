// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const apiServerPort = 6443

// Names of the processes of a control plane.
const (
	APIServerProcess         = "kube-apiserver"
	ControllerManagerProcess = "kube-controller-manager"
	SchedulerProcess         = "kube-scheduler"
)

// ClusterConfig says how a cluster's API server is started.
type ClusterConfig struct {
	// Host is where it runs: one host a cluster.
	Host *Host
	// Address is the host's address that nodes and pods use.
	Address netip.Addr
	// ServiceCIDRs are the ranges of ClusterIPs, one a family, the primary family first.
	ServiceCIDRs []netip.Prefix
	// Names are further names and addresses for the serving certificate.
	Names []string
	// Etcd is where it keeps its objects, under a prefix of the cluster's own.
	Etcd *Etcd
	// ExtraArgs are appended; they win over the flags set here.
	ExtraArgs []string
}

// Cluster is a Kubernetes control plane: a host with an API server and what runs beside it.
type Cluster struct {
	// ClusterConfig it was started with.
	ClusterConfig

	ca   *authority
	port int // of the forwarder on the machine's 127.0.0.1
}

// StartCluster starts an API server and waits until it is ready. ControllerManager and Scheduler are started apart.
// A forwarder makes it reachable at the machine's 127.0.0.1.
func (l *Landscape) StartCluster(ctx context.Context, cfg ClusterConfig) (*Cluster, error) {
	c := &Cluster{ClusterConfig: cfg}
	var err error
	if c.ca, err = openAuthority(c.pkiDir(), "ca"); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	if err := c.credentials(); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	if err := c.Host.Start(ctx, Process{Name: APIServerProcess, Command: c.apiServerCommand()}); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	target := netip.AddrPortFrom(c.Address, apiServerPort)
	if c.port, err = l.forward(ctx, c.Host, APIServerProcess, target); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	for _, user := range []string{ControllerManagerProcess, SchedulerProcess, "kube-proxy"} {
		if _, err := c.Kubeconfig("system:" + user); err != nil {
			return nil, err
		}
	}
	if _, err := c.HostKubeconfig("admin", "system:masters"); err != nil {
		return nil, err
	}
	return c, c.waitReady(ctx)
}

// APIServerURL is where nodes and pods find the API server.
func (c *Cluster) APIServerURL() string {
	return "https://" + netip.AddrPortFrom(c.Address, apiServerPort).String()
}

// CAFile is the certificate of the authority that signs the API server's and all clients' certificates.
func (c *Cluster) CAFile() string { return c.pki("ca.crt") }

// Kubeconfig gives the path of a kubeconfig for a user with a client certificate, for programs on the landscape's hosts.
// The user is made if it isn't there; RBAC says what it may do.
func (c *Cluster) Kubeconfig(user string, groups ...string) (string, error) {
	return c.kubeconfig(user, groups, c.APIServerURL(), ".kubeconfig")
}

// HostKubeconfig is Kubeconfig for programs and people on the machine itself, outside of the landscape.
func (c *Cluster) HostKubeconfig(user string, groups ...string) (string, error) {
	return c.kubeconfig(user, groups, "https://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)), "-host.kubeconfig")
}

// AdminKubeconfig is the path of the kubeconfig for a person on the machine.
func (c *Cluster) AdminKubeconfig() string {
	return filepath.Join(c.Host.Dir(), "admin-host.kubeconfig")
}

// RESTConfig is for clients in this process; they are administrators.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig())
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	cfg.QPS, cfg.Burst = 200, 400
	return cfg, nil
}

// StartControllerManager starts kube-controller-manager with credentials, signing keys and ports, and then args, which win.
func (c *Cluster) StartControllerManager(ctx context.Context, args ...string) error {
	kubeconfig, err := c.Kubeconfig("system:" + ControllerManagerProcess)
	if err != nil {
		return err
	}
	command := append([]string{ControllerManagerProcess,
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=::1", "--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file=" + c.pki("service-account.key"), "--root-ca-file=" + c.CAFile(),
		"--cluster-signing-cert-file=" + c.CAFile(), "--cluster-signing-key-file=" + c.pki("ca.key"),
		"--service-cluster-ip-range=" + join(c.ServiceCIDRs),
	}, args...)
	return c.Host.Start(ctx, Process{Name: ControllerManagerProcess, Command: command})
}

// StartScheduler starts kube-scheduler with credentials and ports, and then args, which win.
func (c *Cluster) StartScheduler(ctx context.Context, args ...string) error {
	kubeconfig, err := c.Kubeconfig("system:" + SchedulerProcess)
	if err != nil {
		return err
	}
	command := append([]string{SchedulerProcess,
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=::1", "--leader-elect=false"}, args...)
	return c.Host.Start(ctx, Process{Name: SchedulerProcess, Command: command})
}

// Stop ends the control plane's processes; its objects stay in etcd. That is what hibernation looks like.
func (c *Cluster) Stop(ctx context.Context) error {
	for _, p := range []string{SchedulerProcess, ControllerManagerProcess, APIServerProcess} {
		if err := c.Host.Stop(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) pkiDir() string         { return filepath.Join(c.Host.Dir(), "pki") }
func (c *Cluster) pki(file string) string { return filepath.Join(c.pkiDir(), file) }

// credentials makes the certificates and keys of the API server.
func (c *Cluster) credentials() error {
	frontProxy, err := openAuthority(c.pkiDir(), "front-proxy-ca")
	if err != nil {
		return err
	}
	names := append([]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"localhost", "127.0.0.1", "::1", c.Address.String()}, c.Names...)
	for _, r := range c.ServiceCIDRs {
		names = append(names, r.Masked().Addr().Next().String())
	}
	if err := c.ca.issue("apiserver", server("kube-apiserver", names)); err != nil {
		return err
	}
	if err := c.ca.issue("kubelet-client", client("kube-apiserver-kubelet-client", []string{"system:masters"})); err != nil {
		return err
	}
	if err := frontProxy.issue("front-proxy-client", client("front-proxy-client", nil)); err != nil {
		return err
	}
	// tokens are signed with the key of an authority that signs no certificate
	_, err = openAuthority(c.pkiDir(), "service-account")
	return err
}

func (c *Cluster) apiServerCommand() []string {
	command := []string{APIServerProcess,
		"--bind-address=::", "--secure-port=" + strconv.Itoa(apiServerPort), "--advertise-address=" + c.Address.String(),
		"--service-cluster-ip-range=" + join(c.ServiceCIDRs),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.pki("service-account.crt"), "--service-account-signing-key-file=" + c.pki("service-account.key"),
		"--tls-cert-file=" + c.pki("apiserver.crt"), "--tls-private-key-file=" + c.pki("apiserver.key"), "--client-ca-file=" + c.CAFile(),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--kubelet-client-certificate=" + c.pki("kubelet-client.crt"), "--kubelet-client-key=" + c.pki("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + c.pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + c.pki("front-proxy-client.crt"), "--proxy-client-key-file=" + c.pki("front-proxy-client.key"),
		// no kube-proxy on this host: webhooks and aggregated APIs are reached at their pods' own addresses
		"--enable-aggregator-routing=true",
		"--profiling=false",
	}
	command = append(command, c.Etcd.Flags("/"+c.Host.Name)...)
	return append(command, c.ExtraArgs...)
}

func (c *Cluster) waitReady(ctx context.Context) error {
	cfg, err := c.RESTConfig()
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	err = wait(ctx, "readiness of the API server of "+c.Host.Name, 2*time.Minute, func(ctx context.Context) error {
		if !c.Host.Running(APIServerProcess) {
			return fmt.Errorf("%s ended", APIServerProcess)
		}
		return get(ctx, client, cfg.Host+"/readyz")
	})
	if err != nil {
		return fmt.Errorf("%w; its log %s ends with\n%s", err, c.Host.LogFile(APIServerProcess), c.Host.LogTail(APIServerProcess, 5))
	}
	return nil
}

func (c *Cluster) kubeconfig(user string, groups []string, url, suffix string) (string, error) {
	file := strings.NewReplacer(":", "-", "/", "-").Replace(user)
	if err := c.ca.issue("user-"+file, client(user, groups)); err != nil {
		return "", fmt.Errorf("cluster %s: user %s: %w", c.Host.Name, user, err)
	}
	ca, err := os.ReadFile(c.CAFile())
	if err != nil {
		return "", fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	cert, err := os.ReadFile(c.pki("user-" + file + ".crt"))
	if err != nil {
		return "", fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	key, err := os.ReadFile(c.pki("user-" + file + ".key"))
	if err != nil {
		return "", fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	name := c.Host.Name
	text, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: url, CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {ClientCertificateData: cert, ClientKeyData: key}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	})
	if err != nil {
		return "", fmt.Errorf("cluster %s: %w", c.Host.Name, err)
	}
	path := filepath.Join(c.Host.Dir(), file+suffix)
	if have, err := os.ReadFile(path); err == nil && string(have) == string(text) { // #nosec G304 -- our own directory
		return path, nil
	}
	return path, writeFile(path, text)
}

func join(prefixes []netip.Prefix) string {
	texts := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ",")
}
