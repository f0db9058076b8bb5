// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package nodesource_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	kube "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gardener/gardener-extension-networking-ipv6/pkg/agentconfig"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/nodeprefix"
	"github.com/gardener/gardener-extension-networking-ipv6/pkg/render"
	"github.com/gardener/gardener-extension-networking-ipv6/test/envtest"
)

// cluster is a kube-apiserver with what the extension renders for a Shoot, and the real ipv6-ipam-controller.
type cluster struct {
	*envtest.Environment
	*WithT
	t *testing.T
	// agent is the agents' program, config their configuration as it was rendered.
	agent, config string
}

func newCluster(t *testing.T, agents agentconfig.Config, prefixes nodeprefix.Config) *cluster {
	t.Helper()
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(soon)
	g.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	log.SetLogger(logr.Discard())
	dir := t.TempDir()
	run(t, "go", "build", "-o", dir+"/", "../../cmd/ipv6-agent", "../../cmd/ipv6-ipam-controller")
	c := &cluster{Environment: envtest.Start(t), WithT: g, t: t, agent: filepath.Join(dir, "ipv6-agent"), config: filepath.Join(dir, "config.json")}
	out, err := render.Objects(render.Input{
		Namespace: "shoot--test", AgentImage: "agent", IPAMImage: "ipam", Agent: agents, NodePrefixes: prefixes, Replicas: 1,
		GenericTokenKubeconfig: "generic", AccessSecret: "shoot-access-ipv6-ipam-controller",
	})
	g.Expect(err).NotTo(HaveOccurred())
	for _, obj := range out.Shoot {
		g.Expect(c.Client.Create(t.Context(), obj)).To(Succeed())
		if m, ok := obj.(*corev1.ConfigMap); ok {
			g.Expect(os.WriteFile(c.config, []byte(m.Data["config.json"]), 0o600)).To(Succeed())
		}
	}
	data, err := nodeprefix.Encode(prefixes)
	g.Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(dir, "ipam.json")
	g.Expect(os.WriteFile(file, data, 0o600)).To(Succeed())
	c.launch("ipam", exec.Command(filepath.Join(dir, "ipv6-ipam-controller"), "--kubeconfig", c.KubeconfigFile(t), "--config", file, //nolint:gosec // built above
		"--metrics-bind-address", "0", "--health-bind-address", "0", "--leader-elect=false"), io.Discard, (*exec.Cmd).Start)
	return c
}

// launch a program until the test ends.
func (c *cluster) launch(name string, cmd *exec.Cmd, also io.Writer, start func(*exec.Cmd) error) {
	c.t.Helper()
	out := io.MultiWriter(testWriter{c.t, name}, also)
	cmd.Stdout, cmd.Stderr = out, out
	c.Expect(start(cmd)).To(Succeed())
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// join makes a Node object, as a kubelet does, and the agent's Pod on it.
func (c *cluster) join(name string, labels map[string]string, address string) {
	c.t.Helper()
	ctx := context.Background()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	c.Expect(c.Client.Create(ctx, node)).To(Succeed())
	before := node.DeepCopy()
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
	c.Expect(c.Client.Status().Patch(ctx, node, kube.MergeFrom(before))).To(Succeed())
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent-" + name}, Spec: corev1.PodSpec{
		NodeName: name, ServiceAccountName: render.AgentName, Containers: []corev1.Container{{Name: "agent", Image: "agent"}},
	}}
	c.Expect(c.Client.Create(ctx, pod)).To(Succeed())
}

// kubeconfig of the agent on that node: a token that is bound to its pod, as kubelet mounts it.
func (c *cluster) kubeconfig(name string) string {
	c.t.Helper()
	admin, err := kubernetes.NewForConfig(c.Config)
	c.Expect(err).NotTo(HaveOccurred())
	pod, err := admin.CoreV1().Pods("kube-system").Get(context.Background(), "agent-"+name, metav1.GetOptions{})
	c.Expect(err).NotTo(HaveOccurred())
	token, err := admin.CoreV1().ServiceAccounts("kube-system").CreateToken(context.Background(), render.AgentName, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}},
	}, metav1.CreateOptions{})
	c.Expect(err).NotTo(HaveOccurred())
	config, err := clientcmd.Load(c.Kubeconfig)
	c.Expect(err).NotTo(HaveOccurred())
	for user := range config.AuthInfos {
		config.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	file := filepath.Join(c.t.TempDir(), "kubeconfig")
	c.Expect(clientcmd.WriteToFile(*config, file)).To(Succeed())
	return file
}

// reach makes the API server, which listens on the loopback address, answer in the namespace, too.
func (c *cluster) reach(s *space) {
	c.t.Helper()
	server, err := url.Parse(c.Config.Host)
	c.Expect(err).NotTo(HaveOccurred())
	var l net.Listener
	c.Expect(s.within(func() (err error) {
		l, err = net.Listen("tcp", server.Host)
		return err
	})).To(Succeed())
	c.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close() //nolint:errcheck // a relay
				out, err := net.Dial("tcp", server.Host)
				if err != nil {
					return
				}
				defer out.Close() //nolint:errcheck // a relay
				go func() {
					_, _ = io.Copy(out, in)
					_ = out.Close()
				}()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
}

// agents is the agent of one node, in its namespace.
type agents struct {
	*cluster
	name, dir, kubeconfigFile string
	space                     *space
	cmd                       *exec.Cmd
	// log of the agent since its last start.
	log *daemon
}

// on a subtest, whose failures are its own.
func (c *cluster) on(t *testing.T) *cluster {
	on := *c
	on.t, on.WithT = t, NewWithT(t)
	on.SetDefaultEventuallyTimeout(soon)
	on.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	return &on
}

func (c *cluster) node(s *space, name string, labels map[string]string, address string) *agents {
	c.t.Helper()
	c.join(name, labels, address)
	c.reach(s)
	a := &agents{cluster: c, name: name, dir: c.t.TempDir(), kubeconfigFile: c.kubeconfig(name), space: s}
	for _, sub := range []string{"bin", "conf", "plugins"} {
		c.Expect(os.Mkdir(filepath.Join(a.dir, sub), 0o700)).To(Succeed())
	}
	for _, plugin := range agentconfig.Plugins() {
		c.Expect(os.WriteFile(filepath.Join(a.dir, "plugins", plugin), []byte("#!/bin/false\n"), 0o600)).To(Succeed())
	}
	a.start()
	return a
}

// start the agent; what it keeps on disk stays from one start to the next.
func (a *agents) start() {
	a.t.Helper()
	a.cmd = exec.Command(a.agent, "--config", a.config, "--node-name", a.name, "--kubeconfig", a.kubeconfigFile, "--http-address", "", //nolint:gosec // built above
		"--state-dir", filepath.Join(a.dir, "state"), "--address-dir", filepath.Join(a.dir, "addresses"), "--socket", filepath.Join(a.dir, "cni.sock"), "--cni-bin-dir", filepath.Join(a.dir, "bin"),
		"--cni-conf-dir", filepath.Join(a.dir, "conf"), "--plugin-dir", filepath.Join(a.dir, "plugins"))
	a.log = &daemon{t: a.t, cmd: a.cmd}
	a.launch(a.name, a.cmd, a.log, func(cmd *exec.Cmd) error { return a.space.within(cmd.Start) })
}

// stop the agent with that signal.
func (a *agents) stop(signal os.Signal) {
	a.t.Helper()
	a.Expect(a.cmd.Process.Signal(signal)).To(Succeed())
	_ = a.cmd.Wait()
}

func (a *agents) object() *corev1.Node {
	a.t.Helper()
	node := &corev1.Node{}
	a.Expect(a.Client.Get(context.Background(), kube.ObjectKey{Name: a.name}, node)).To(Succeed())
	return node
}

func (a *agents) podCIDRs() []string { return a.object().Spec.PodCIDRs }

func (a *agents) annotation(name string) func() string {
	return func() string { return a.object().Annotations["ipv6.networking.extensions.gardener.cloud/"+name] }
}

// condition PodCIDRsAssigned as "status reason: message".
func (a *agents) condition() string {
	conditions := a.object().Status.Conditions
	i := slices.IndexFunc(conditions, func(c corev1.NodeCondition) bool { return c.Type == "PodCIDRsAssigned" })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf("%s %s: %s", conditions[i].Status, conditions[i].Reason, conditions[i].Message)
}

// ready: the container runtime has been told of the network.
func (a *agents) ready() error {
	_, err := os.Stat(filepath.Join(a.dir, "conf", agentconfig.ConflistName))
	return err
}

// warnings of the agent and the controller about the node.
func (a *agents) warnings() string {
	var list corev1.EventList
	a.Expect(a.Client.List(context.Background(), &list)).To(Succeed())
	var texts []string
	for _, e := range list.Items {
		if e.InvolvedObject.Name == a.name && e.Type == corev1.EventTypeWarning {
			texts = append(texts, e.Reason+": "+e.Message)
		}
	}
	return strings.Join(texts, "\n")
}
