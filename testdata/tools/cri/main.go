// Cri does what a kubelet does to start one pod of one container, without a network, prints what became of it as
// JSON, and takes the pod away again. A pod can be kept, and be looked into and taken away by later calls.
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
	Output  string `json:"output"` // the container's log, or what was printed in a container that is there

	Pod       string `json:"pod"` // the IDs of what was started
	Container string `json:"container"`
}

// words collects a flag that is given several times.
type words []string

func (w *words) String() string     { return strings.Join(*w, " ") }
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

// pod is what is asked for.
type pod struct {
	image, handler, namespace          string
	env, devices, annotations, command []string

	cdiDevices, containerAnnotations []string
	privileged, keep                 bool
}

func main() {
	socket := flag.String("socket", "/run/containerd/containerd.sock", "the runtime's socket")
	timeout := flag.Duration("timeout", time.Minute, "how long the pod may live")
	logs := flag.String("logs", "", "the folder of the container's log, which outlives a kept pod's call; empty: one for this call")
	var p pod
	flag.StringVar(&p.image, "image", "", "the container's image, which is there")
	flag.StringVar(&p.handler, "handler", "", "the runtime handler, as a RuntimeClass names it")
	flag.StringVar(&p.namespace, "namespace", "default", "the pod's namespace")
	flag.Var((*words)(&p.env), "env", "NAME=VALUE, any number")
	flag.Var((*words)(&p.devices), "device", "CONTAINER=HOST paths of a node, any number")
	flag.Var((*words)(&p.annotations), "annotation", "NAME=VALUE of the pod, any number")
	flag.Var((*words)(&p.containerAnnotations), "container-annotation", "NAME=VALUE of the container, any number")
	flag.Var((*words)(&p.cdiDevices), "cdi-device", "a device by its CDI name, as a claim gives it, any number")
	flag.BoolVar(&p.privileged, "privileged", false, "the container may do anything, and gets every device")
	flag.BoolVar(&p.keep, "keep", false, "leave the pod when its container runs")
	exec := flag.String("exec", "", "run the command in this `CONTAINER` instead")
	removed := flag.String("remove", "", "stop this `POD` and its container, and take them away instead")
	flag.Parse()
	p.command = flag.Args()
	do := action(p.start)
	switch {
	case *exec != "":
		do = p.exec(*exec)
	case *removed != "":
		do = end(*removed)
	}
	if err := run(*socket, *timeout, *logs, do); err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
}

// action is what is done, with a folder for the container's log.
type action func(ctx context.Context, runtime cri.RuntimeServiceClient, logs string) (outcome, error)

func run(socket string, timeout time.Duration, logs string, do action) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if logs == "" {
		if logs, err = os.MkdirTemp("", "cri"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(logs)) }()
	}
	o, err := do(ctx, cri.NewRuntimeServiceClient(conn), logs)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

// exec runs the command in a container that is there.
func (p pod) exec(id string) action {
	return func(ctx context.Context, runtime cri.RuntimeServiceClient, _ string) (outcome, error) {
		answer, err := runtime.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: id, Cmd: p.command, Timeout: 30})
		if err != nil {
			return failure("ExecSync", err), nil
		}
		return outcome{Output: string(answer.Stdout) + string(answer.Stderr), Exit: answer.ExitCode}, nil
	}
}

// failure is what is printed of a call that the runtime refused: that is an answer, too.
func failure(call string, err error) outcome { return outcome{Failed: call, Error: err.Error()} }

// end stops the containers of a pod and takes them and it away.
func end(id string) action {
	return func(ctx context.Context, runtime cri.RuntimeServiceClient, _ string) (o outcome, err error) {
		list, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{PodSandboxId: id}})
		if err != nil {
			return o, fmt.Errorf("ListContainers: %w", err)
		}
		for _, c := range list.Containers {
			if _, err = runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: c.Id, Timeout: 1}); err != nil {
				return o, fmt.Errorf("StopContainer: %w", err)
			}
			if err = o.wait(ctx, runtime, c.Id); err != nil {
				return o, err
			}
			if _, err = runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: c.Id}); err != nil {
				return o, fmt.Errorf("RemoveContainer: %w", err)
			}
		}
		return o, remove(ctx, runtime, id)
	}
}

// start makes the pod and waits until its container has ended.
func (p pod) start(ctx context.Context, runtime cri.RuntimeServiceClient, logs string) (o outcome, err error) {
	config := p.sandbox(logs)
	sandbox, err := runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config, RuntimeHandler: p.handler})
	if err != nil {
		return failure("RunPodSandbox", err), nil
	}
	defer func() {
		if !p.keep || err != nil || o.Failed != "" {
			err = errors.Join(err, remove(ctx, runtime, sandbox.PodSandboxId))
		}
	}()
	container, err := runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: sandbox.PodSandboxId, Config: p.container(), SandboxConfig: config,
	})
	if err != nil {
		return failure("CreateContainer", err), nil
	}
	if _, err = runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: container.ContainerId}); err != nil {
		o.Failed, o.Error = "StartContainer", err.Error()
	}
	o.Pod, o.Container = sandbox.PodSandboxId, container.ContainerId
	if p.keep && o.Failed == "" {
		return o, nil
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
	return &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: id, Namespace: p.namespace, Uid: id},
		LogDirectory: logs,
		Annotations:  pairs(p.annotations),
		Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{
			NamespaceOptions: hostNetwork(), Privileged: p.privileged,
		}},
	}
}

// pairs splits words of the form NAME=VALUE.
func pairs(words []string) map[string]string {
	out := map[string]string{}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		out[name] = value
	}
	return out
}

func hostNetwork() *cri.NamespaceOption { return &cri.NamespaceOption{Network: cri.NamespaceMode_NODE} }

func (p pod) container() *cri.ContainerConfig {
	config := &cri.ContainerConfig{
		Metadata:    &cri.ContainerMetadata{Name: "test"},
		Image:       &cri.ImageSpec{Image: p.image},
		Command:     p.command,
		LogPath:     logName,
		Annotations: pairs(p.containerAnnotations),
		Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
			NamespaceOptions: hostNetwork(), Privileged: p.privileged,
		}},
	}
	for _, name := range p.cdiDevices {
		config.CDIDevices = append(config.CDIDevices, &cri.CDIDevice{Name: name})
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
