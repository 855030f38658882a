package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// The two exit codes of hook and shim.
const (
	exitStart  = 0
	exitRefuse = 1
)

// endings are the signals that would end the program, which refuses the container. What was found until then decides.
var endings = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT}

// listenAfter is how long a launch takes before signals are listened to: to listen costs a thread, and nearly every
// launch is over by then.
const listenAfter = 100 * time.Millisecond

// endOnSignal returns a context that one of the endings ends; in the beginning they are ignored.
func endOnSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	signal.Ignore(endings...)
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(listenAfter, func() {
		heard := make(chan os.Signal, 1)
		signal.Notify(heard, endings...)
		defer signal.Stop(heard)
		select {
		case <-heard:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

// Options say how the hook was called.
type Options struct {
	Program            string // hook | ProgramRuntime
	Config             string // policy file
	Root               string // the host's files are below it
	NVMLLibrary        string
	AboveNVIDIARuntime bool     // the next runtime is nvidia-container-runtime*, so config.json is not final
	Ignored            []string // arguments that mean nothing to us, for the record
	Switch             Switch   // the operator's off switch
	RunDir             string
	Began              time.Time
	FixTimeout         time.Duration // for what only the words of a fix need; 0: 50 ms
}

// ProgramRuntime is the Program of a launch that the shim asks about. Nothing is mounted yet then, and below
// nvidia-container-runtime the configuration is final: whether the files to mount are there is worth a look. A hook
// runs after the mounts were made; above nvidia-container-runtime what is mounted is still to be decided.
const ProgramRuntime = "runtime"

// Run is the hook: the container's state on stdin, the verdict as exit code, the refusal on stderr. An error of
// ours never refuses: it is recorded, and the container starts.
func Run(ctx context.Context, o Options, stdin io.Reader, stderr io.Writer) (code int) {
	o = o.withDefaults()
	if !mayOpen() {
		return exitStart // not even a record can be kept
	}
	var c *oci.Container
	defer func() {
		if r := recover(); r != nil {
			o.problem(ctx, c, fmt.Errorf("panic: %v", r))
			code = exitStart
		}
	}()
	state, err := oci.ReadState(stdin)
	if err != nil {
		o.problem(ctx, nil, err)
		return exitStart
	}
	if c, err = oci.LoadContainer(state.Bundle); err != nil {
		o.problem(ctx, &oci.Container{ID: state.ID, Bundle: state.Bundle}, err)
		return exitStart
	}
	c.ID = state.ID
	request := o.FindGPUs(c)
	if !request.GPU || request.NotJudged != "" || o.Switch.Off(time.Now()) {
		return exitStart
	}
	if !spareDescriptors() {
		o.problem(ctx, c, fmt.Errorf("fewer than %d file descriptors are left: not judged", wantDescriptors))
		return exitStart
	}
	ctx, stop := endOnSignal(ctx)
	defer stop()
	message := o.launch(ctx, checks.Launch{Container: c, GPUs: request, Needs: image.FromContainer(c)})
	if message == "" {
		return exitStart
	}
	_, _ = io.WriteString(stderr, message)
	return exitRefuse
}

func (o Options) withDefaults() Options {
	if o.Config == "" {
		o.Config = DefaultConfig
	}
	if o.RunDir == "" {
		o.RunDir = "/run/gpu-preflight"
	}
	if o.Switch == (Switch{}) {
		o.Switch = DefaultSwitch()
	}
	if o.Program == "" {
		o.Program = "hook"
	}
	if o.FixTimeout <= 0 {
		o.FixTimeout = defaultFixTimeout
	}
	if o.Began.IsZero() {
		o.Began = time.Now()
	}
	return o
}

// ChildMain is the entry of the children that the hook starts from its own file: the reader of the host and the
// reader of the image. handled is false when argv is none of theirs.
func ChildMain(argv []string) (code int, handled bool) {
	if code, handled = host.ChildMain(argv); handled {
		return code, true
	}
	return image.ChildMain(argv)
}

// Judges tells whether the container of a bundle is a GPU launch that has to be judged; err when that cannot be read.
func (o Options) Judges(bundle string) (bool, error) {
	c, err := oci.LoadContainer(bundle)
	if err != nil {
		return false, err
	}
	request := o.FindGPUs(c)
	return request.GPU && request.NotJudged == "", nil
}

// FindGPUs tells whether a launch is a GPU launch; the host is asked only where config.json alone does not tell.
func (o Options) FindGPUs(c *oci.Container) oci.GPURequest {
	return oci.FindGPUs(c, oci.Host{
		Majors:             func() (map[string]int, error) { return host.Majors(o.Root) },
		Toolkit:            func() (oci.Toolkit, error) { return oci.ReadToolkit(filepath.Join("/", o.Root)) },
		AboveNVIDIARuntime: o.AboveNVIDIARuntime,
	})
}

// launch judges a GPU launch, keeps the record, and returns the refusal, empty when the container may start.
func (o Options) launch(ctx context.Context, launch checks.Launch) string {
	policy := LoadPolicy(o.Config).override(launch.Container)
	if policy.Mode == ModeOff {
		return ""
	}
	r := o.newRecord(launch)
	r.Problem = policy.Problem
	if why := policy.Exempts(launch.Container); why != "" {
		r.Verdict, r.Mode, r.Message = Exempted, string(policy.Mode), why
		o.keep(ctx, policy, r)
		return ""
	}
	facts, verdict, waited := o.judge(ctx, launch, policy)
	message := ""
	if verdict.Verdict == Refuse {
		message = Message(verdict)
	}
	fill(&r, facts, verdict, waited, message)
	if ctx.Err() != nil && r.Problem == "" {
		r.Problem = "ended by a signal: judged by what was known then"
	}
	o.keep(ctx, policy, r)
	return message
}

// judge gathers the host's facts, looks into the image where that can matter, and settles.
func (o Options) judge(ctx context.Context, launch checks.Launch, p Policy) (host.Facts, Verdict, time.Duration) {
	world := &ThisHost{Timeout: time.Duration(p.Timeout), Began: o.Began, Options: o.hostOptions(launch.GPUs, p)}
	if o.Program == ProgramRuntime && !o.AboveNVIDIARuntime {
		world.Options.Sources = launch.Container.DriverSources()
	}
	limited, cancel := context.WithDeadline(ctx, o.Began.Add(time.Duration(p.Timeout)))
	defer cancel()
	looks, seen := mayProve(world.Options.Root, launch, p), make(chan image.Look, 1)
	if looks {
		go o.look(limited, launch.Container, seen)
	}
	facts := world.Facts(limited)
	first := Judge(facts, launch, p)
	if !looks && needsCompat(first.Results) {
		looks = true
		go o.look(limited, launch.Container, seen)
	}
	if looks {
		launch.Needs = launch.Needs.With(<-seen)
		first = Judge(facts, launch, p)
	}
	facts, v, waited := o.wait(ctx, world, facts, first, launch, p)
	brief, done := context.WithTimeout(ctx, o.FixTimeout)
	defer done()
	return facts, Mend(brief, world.Options, facts, v, launch, p), waited
}

// look looks into the image, and tells once whatever becomes of it.
func (o Options) look(ctx context.Context, c *oci.Container, seen chan<- image.Look) {
	found := image.FoldLook(nil, errors.New("an error of ours"))
	defer func() {
		_ = recover()
		seen <- found
	}()
	found = LookIntoRootfs(ctx, c.Root, image.ProgramOf(c), o.RunDir)
	found.Compat = found.Compat.Behind(c.Mounts, c.Env)
}

// wait settles what waiting may mend, unless another path of this launch waits for it.
func (o Options) wait(ctx context.Context, world World, facts host.Facts, first Verdict, launch checks.Launch, p Policy) (host.Facts, Verdict, time.Duration) {
	if !mayMend(first.Results) {
		return facts, first, 0
	}
	mine := newClaim(o.RunDir, launch.Container.ID)
	if !mine.take(time.Duration(p.Timeout + p.Settle)) {
		return facts, p.withoutSecondLook(first), 0
	}
	facts, v, waited := settle(ctx, world, facts, first, launch, p)
	if ctx.Err() != nil {
		v = p.withoutSecondLook(v)
	}
	if v.Verdict == Refuse {
		mine.release() // this launch is over; the next one of the same container waits for itself
	}
	return facts, v, waited
}

// mayProve tells whether the image's files can prove that this host cannot serve it. They may tell of a need where the
// driver brings no CUDA of the newest major version; with one that does they could only tell of limits. They may hold a
// libcuda that comes before the driver's: the environment names its folder, or a base image of CUDA brings one that is
// older than the driver, the loader's cache is written anew, and a doubt would refuse or a Python may be started, without
// which it is a doubt. Other launches are spared the look.
func mayProve(root string, launch checks.Launch, p Policy) bool {
	if p.Evidence == EvidenceOff {
		return false
	}
	driver := host.LoadedDriver(root)
	return checks.OlderMajor(driver) || image.NamesLibcuda(launch.Container.Env) ||
		launch.GPUs.Forward.UpdatesCache && checks.NewerThan(driver, launch.Needs.CUDAVersion) &&
			(p.refusesDoubts() || image.ProgramOf(launch.Container).MayBePython())
}

// needsCompat tells whether the image's compatibility libraries can matter: something that the image asks for is
// not served by the driver itself. Most launches are, and are spared the look.
func needsCompat(results []checks.Result) bool {
	return slices.ContainsFunc(results, func(r checks.Result) bool {
		return r.Need && (r.Status == checks.StatusFail || r.Status == checks.StatusWarn)
	})
}

func (o Options) hostOptions(request oci.GPURequest, p Policy) host.Options {
	return host.Options{
		Root:        firstSet(o.Root, p.Host.Root),
		Asked:       askedNames(request),
		NVMLLibrary: firstSet(o.NVMLLibrary, p.Host.NVMLLibrary),
		DriverRoot:  driverRoot(request),
		NVMLTimeout: time.Duration(p.NVMLTimeout),
		RunDir:      o.RunDir,
	}
}

// driverRoot is the driver root that the launch uses: that of the libcuda it mounts, else the toolkit's.
func driverRoot(request oci.GPURequest) string {
	if root, known := host.DriverRootOf(request.Libcuda); known && request.Libcuda != "" {
		return root
	}
	return request.DriverRoot
}

// askedNames are the GPUs asked for as host.Options takes them; nil means all.
func askedNames(request oci.GPURequest) []string {
	if request.All {
		return nil
	}
	asked := slices.Clone(request.Devices)
	for _, minor := range request.Minors {
		asked = append(asked, "minor:"+strconv.Itoa(minor))
	}
	return asked
}

func firstSet(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// Problem records that the hook was called in a way that it does not understand. The container starts.
func Problem(ctx context.Context, o Options, err error) { o.withDefaults().problem(ctx, nil, err) }
