// Cri does what a kubelet does to start one pod of one container, without a network, prints what became of it as
// JSON, and takes the pod away again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// outcome is what is printed.
type outcome struct {
	Failed  string `json:"failed"` // the call that failed: RunPodSandbox, CreateContainer, StartContainer; empty: none
	Error   string `json:"error"`  // its text
	State   string `json:"state"`  // of the container in the end
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Exit    int32  `json:"exit"`
	Output  string `json:"output"` // the container's log
}

// words collects a flag that is given several times.
type words []string

func (w *words) String() string     { return strings.Join(*w, " ") }
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

// pod is what is asked for.
type pod struct {
	image, handler, namespace          string
	env, devices, annotations, command []string
}

func main() {
	socket := flag.String("socket", "/run/containerd/containerd.sock", "the runtime's socket")
	timeout := flag.Duration("timeout", time.Minute, "how long the pod may live")
	var p pod
	flag.StringVar(&p.image, "image", "", "the container's image, which is there")
	flag.StringVar(&p.handler, "handler", "", "the runtime handler, as a RuntimeClass names it")
	flag.StringVar(&p.namespace, "namespace", "default", "the pod's namespace")
	flag.Var((*words)(&p.env), "env", "NAME=VALUE, any number")
	flag.Var((*words)(&p.devices), "device", "CONTAINER=HOST paths of a node, any number")
	flag.Var((*words)(&p.annotations), "annotation", "NAME=VALUE of the pod, any number")
	flag.Parse()
	p.command = flag.Args()
	if err := run(*socket, *timeout, p); err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
}

func run(socket string, timeout time.Duration, p pod) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	logs, err := os.MkdirTemp("", "cri")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(logs)) }()
	o, err := p.start(ctx, cri.NewRuntimeServiceClient(conn), logs)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

// start makes the pod and waits until its container has ended.
func (p pod) start(ctx context.Context, runtime cri.RuntimeServiceClient, logs string) (o outcome, err error) {
	config := p.sandbox(logs)
	sandbox, err := runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config, RuntimeHandler: p.handler})
	if err != nil {
		return outcome{Failed: "RunPodSandbox", Error: err.Error()}, nil
	}
	defer func() { err = errors.Join(err, remove(ctx, runtime, sandbox.PodSandboxId)) }()
	container, err := runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: sandbox.PodSandboxId, Config: p.container(), SandboxConfig: config,
	})
	if err != nil {
		return outcome{Failed: "CreateContainer", Error: err.Error()}, nil
	}
	if _, err = runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: container.ContainerId}); err != nil {
		o.Failed, o.Error = "StartContainer", err.Error()
	}
	if err = o.wait(ctx, runtime, container.ContainerId); err != nil {
		return o, err
	}
	text, err := os.ReadFile(filepath.Join(logs, logName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return o, err
	}
	o.Output = string(text)
	return o, nil
}

const logName = "container.log"

func (p pod) sandbox(logs string) *cri.PodSandboxConfig {
	id := fmt.Sprintf("gpu-preflight-test-%d", os.Getpid())
	annotations := map[string]string{}
	for _, word := range p.annotations {
		name, value, _ := strings.Cut(word, "=")
		annotations[name] = value
	}
	return &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: id, Namespace: p.namespace, Uid: id},
		LogDirectory: logs,
		Annotations:  annotations,
		Linux:        &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: hostNetwork()}},
	}
}

func hostNetwork() *cri.NamespaceOption { return &cri.NamespaceOption{Network: cri.NamespaceMode_NODE} }

func (p pod) container() *cri.ContainerConfig {
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "test"},
		Image:    &cri.ImageSpec{Image: p.image},
		Command:  p.command,
		LogPath:  logName,
		Linux:    &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: hostNetwork()}},
	}
	for _, word := range p.env {
		name, value, _ := strings.Cut(word, "=")
		config.Envs = append(config.Envs, &cri.KeyValue{Key: name, Value: []byte(value)})
	}
	for _, word := range p.devices {
		inside, outside, _ := strings.Cut(word, "=")
		config.Devices = append(config.Devices, &cri.Device{ContainerPath: inside, HostPath: outside, Permissions: "rw"})
	}
	return config
}

// wait fills in how the container ended.
func (o *outcome) wait(ctx context.Context, runtime cri.RuntimeServiceClient, id string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return fmt.Errorf("ContainerStatus: %w", err)
		}
		s := answer.Status
		o.State, o.Reason, o.Message, o.Exit = s.State.String(), s.Reason, s.Message, s.ExitCode
		if s.State == cri.ContainerState_CONTAINER_EXITED {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the container is %s: %w", o.State, ctx.Err())
		case <-tick.C:
		}
	}
}

// remove takes the pod away, also when its time is over.
func remove(ctx context.Context, runtime cri.RuntimeServiceClient, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if _, err := runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("StopPodSandbox: %w", err)
	}
	if _, err := runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("RemovePodSandbox: %w", err)
	}
	return nil
}
