package register_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"gpu-preflight/testdata/fixture"
)

// hgxHost is a host with two H100 whose fabric is ready: NVSwitches, and a Fabric Manager that runs.
func hgxHost(t *testing.T) site {
	t.Helper()
	files, links := fixture.HealthyHost(2)
	for path, text := range files {
		files[path] = strings.NewReplacer("A100-SXM4", "H100", "0x20b2", "0x2330").Replace(text)
	}
	const nvswitch = "/sys/bus/pci/devices/0000:05:00.0"
	maps.Copy(files, map[string]string{
		nvswitch + "/vendor": "0x10de\n", nvswitch + "/device": "0x22a3\n", nvswitch + "/class": "0x068000\n", nvswitch + "/config": "\xde\x10\xa3\x22",
		"/sys/bus/pci/drivers/nvidia-nvswitch/":        "",
		"/usr/share/nvidia/nvswitch/fabricmanager.cfg": "FABRIC_MODE=0\n",
	})
	links[nvswitch+"/driver"] = "../../../../bus/pci/drivers/nvidia-nvswitch"
	s := newSite(t, "535.183.06", "", "")
	s.root = fixture.Tree(t, files, links)
	fixture.NVML(t, s.root+libraries, "")
	s.fabric(t, true)
	return s
}

const libraries = "/usr/lib/x86_64-linux-gnu"

// fabric writes what tells of the fabric: the daemon, and the state that NVML gives of each GPU.
func (s site) fabric(t *testing.T, ready bool) {
	t.Helper()
	conf, state := "driver=535.183.06\ncuda=12020\ngpus=2\n", 1 // not started
	must(t, os.RemoveAll(s.root+"/proc/77"))
	if ready {
		state = 3 // completed
		must(t, os.MkdirAll(s.root+"/proc/77", 0o755))
		write(t, s.root+"/proc/77/comm", "nv-fabricmanage\n")
		write(t, s.root+"/proc/77/stat", "77 (nv-fabricmanage) S"+strings.Repeat(" 0", 18)+" 3000 0 0\n")
	}
	for i := range 2 {
		conf += fmt.Sprintf("gpu.%d.bus=0000:%02x:00.0\ngpu.%d.brand=14\ngpu.%d.cc=9.0\ngpu.%d.fabric_state=%d\ngpu.%d.fabric_status=0\n",
			i, 0x10+i, i, i, i, state, i)
	}
	write(t, s.root+"/conf", conf)
	must(t, os.Rename(s.root+"/conf", s.root+libraries+"/libnvidia-ml.so.1.conf"))
}

// TestEngineDockerBoot: the host boots, docker starts a container that is to be restarted always, and Fabric Manager is
// 15 seconds late. The launch waits for it, and the container ends running.
func TestEngineDockerBoot(t *testing.T) {
	eachDocker(t, `{"data-root": "DIR/data"}`, func(t *testing.T, d *dockerHost) {
		s := hgxHost(t)
		d.look(t, s)
		d.registers(t, "register", "docker")
		d.restart(t)
		d.long(t, "--restart=always")
		if list := s.records(t); len(list) != 1 || list[0].Verdict != "allow" || list[0].Waited != 0 {
			t.Fatalf("records before the boot: %+v", list)
		}
		d.stop()
		write(t, s.root+"/proc/uptime", "30.00 60.00\n")
		s.fabric(t, false)
		late := time.AfterFunc(15*time.Second, func() { s.fabric(t, true) })
		defer late.Stop()
		d.start(t)
		c := d.inspect(t, "long")
		for deadline := time.Now().Add(time.Minute); c.State.Status != "running" && time.Now().Before(deadline); c = d.inspect(t, "long") {
			time.Sleep(200 * time.Millisecond)
		}
		if c.State.Status != "running" {
			t.Errorf("it does not run: %+v", c.State)
		}
		list := s.records(t)
		if len(list) != 2 || list[1].Verdict != "allow" || list[1].Waited == 0 || list[1].Problem != "" {
			t.Fatalf("records: %+v", list)
		}
		t.Logf("it waited for %.1f s", list[1].Waited)
	})
}
