/* A stand-in for libnvidia-ml.so.1 that answers what a file says.
 *
 *   cc -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 nvml.c
 *
 * It reads "<its own real path>.conf", since its caller's environment is clean: lines KEY=VALUE, # for comments.
 *
 *   init=CODE              what nvmlInit returns (default 0)
 *   driver=TEXT            nvmlSystemGetDriverVersion (535.183.06)
 *   cuda=NUMBER            nvmlSystemGetCudaDriverVersion_v2 (12020)
 *   gpus=N                 GPUs that there are (1); 16 at most
 *   count=N                what nvmlDeviceGetCount answers (gpus)
 *   count_code=CODE        what it returns (0)
 *   hang=init|handle|fabric|driver     sleep there for ever
 *   crash=init|handle      die there by SIGSEGV
 *   exit=init              leave there with status 1
 *   slow_ms=N              every handle takes N ms; slow.I_ms=N that of GPU I
 *   gpu.I.bus=TEXT         0000:BB:00.0 with BB = 10 + I, hexadecimal
 *   gpu.I.handle=CODE      what the handle call returns (0)
 *   gpu.I.uuid, gpu.I.name, gpu.I.minor, gpu.I.brand (a number), gpu.I.cc (8.0)
 *   gpu.I.mig, gpu.I.mig_pending       0|1 (0); gpu.I.mig_code=CODE (3 unless mig is given)
 *   gpu.I.instances=G/C,G/C            MIG instances: GPU instance / compute instance
 *   gpu.I.fabric_state, gpu.I.fabric_status, gpu.I.fabric_health    numbers; without a state: code 3
 *   gpu.I.fabric_code=CODE             what the fabric call returns
 *   fabric_version=2|3     the newest structure that the versioned fabric call takes (3)
 *   gpu.I.KEY may be written gpu.*.KEY for all GPUs; a GPU's own line comes first.
 *
 * Left out by definitions: -DOLD_DRIVER the fabric and MIG calls (before 450), -DNO_FABRIC_V the versioned fabric
 * call (before 550), -DNO_BUS_ID the handle by bus id, -DNO_INIT every nvmlInit.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_GPUS = 16, MAX_INSTANCES = 8, MAX_LINES = 256 };
enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, VERSION_MISMATCH = 25 };

struct device {
	int index, parent, gi, ci; /* parent is -1 for a GPU */
};

static char keys[MAX_LINES][64], values[MAX_LINES][128];
static int lines, loaded;
static struct device gpus[MAX_GPUS], instances[MAX_GPUS][MAX_INSTANCES];

static void load(void)
{
	Dl_info self;
	char path[PATH_MAX + 8], real[PATH_MAX], line[256];
	if (loaded++)
		return;
	if (!dladdr((void *)load, &self) || !realpath(self.dli_fname, real))
		return;
	snprintf(path, sizeof path, "%s.conf", real);
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	while (lines < MAX_LINES && fgets(line, sizeof line, file)) {
		char *value = strchr(line, '=');
		if (line[0] == '#' || !value)
			continue;
		*value++ = 0;
		value[strcspn(value, "\r\n")] = 0;
		snprintf(keys[lines], sizeof keys[0], "%.63s", line);
		snprintf(values[lines++], sizeof values[0], "%.127s", value);
	}
	fclose(file);
}

static const char *text(const char *key, const char *fallback)
{
	load();
	for (int i = 0; i < lines; i++)
		if (!strcmp(keys[i], key))
			return values[i];
	return fallback;
}

static int number(const char *key, int fallback)
{
	const char *value = text(key, NULL);
	return value ? (int)strtol(value, NULL, 0) : fallback;
}

static const char *gpu_text(int gpu, const char *key, const char *fallback)
{
	char name[64];
	snprintf(name, sizeof name, "gpu.%d.%s", gpu, key);
	const char *value = text(name, NULL);
	if (value)
		return value;
	snprintf(name, sizeof name, "gpu.*.%s", key);
	return text(name, fallback);
}

static int gpu_number(int gpu, const char *key, int fallback)
{
	const char *value = gpu_text(gpu, key, NULL);
	return value ? (int)strtol(value, NULL, 0) : fallback;
}

static void trouble(const char *place)
{
	if (!strcmp(text("crash", ""), place))
		raise(SIGSEGV);
	if (!strcmp(text("exit", ""), place))
		_exit(1);
	while (!strcmp(text("hang", ""), place))
		pause();
}

static int gpu_count(void)
{
	int n = number("gpus", 1);
	return n < 0 ? 0 : n > MAX_GPUS ? MAX_GPUS : n;
}

static int copy(char *out, unsigned int length, const char *value)
{
	if (strlen(value) >= length)
		return TOO_SMALL;
	strcpy(out, value);
	return OK;
}

#ifndef NO_INIT
int nvmlInit_v2(void)
{
	trouble("init");
	return number("init", OK);
}

int nvmlInit(void) { return nvmlInit_v2(); }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return nvmlInit_v2(); }
#endif

int nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(int code)
{
	switch (code) {
	case OK: return "Success";
	case 3: return "Not Supported";
	case 4: return "Insufficient Permissions";
	case 9: return "Driver Not Loaded";
	case 15: return "GPU is lost";
	case 16: return "GPU requires reset";
	case 18: return "Driver/library version mismatch";
	case 999: return "Unknown Error";
	default: return "Error";
	}
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
	trouble("driver");
	return copy(version, length, text("driver", "535.183.06"));
}

int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
	*version = number("cuda", 12020);
	return OK;
}

int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

int nvmlDeviceGetCount_v2(unsigned int *count)
{
	*count = (unsigned int)number("count", gpu_count());
	return number("count_code", OK);
}

int nvmlDeviceGetCount(unsigned int *count) { return nvmlDeviceGetCount_v2(count); }

static int handle(int gpu, struct device **device)
{
	char key[32];
	trouble("handle");
	snprintf(key, sizeof key, "slow.%d_ms", gpu);
	int slow = number(key, number("slow_ms", 0));
	if (slow > 0) /* a sleep of nothing takes the timer's slack, 50 us */
		usleep(1000u * (unsigned int)slow);
	gpus[gpu].index = gpu;
	gpus[gpu].parent = -1;
	*device = &gpus[gpu];
	return gpu_number(gpu, "handle", OK);
}

static const char *bus_of(int gpu)
{
	static char bus[32];
	snprintf(bus, sizeof bus, "0000:%02x:00.0", 0x10 + gpu);
	return gpu_text(gpu, "bus", bus);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct device **device)
{
	return index < (unsigned int)gpu_count() ? handle((int)index, device) : INVALID;
}

int nvmlDeviceGetHandleByIndex(unsigned int index, struct device **device)
{
	return nvmlDeviceGetHandleByIndex_v2(index, device);
}

#ifndef NO_BUS_ID
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, struct device **device)
{
	for (int i = 0; i < gpu_count(); i++)
		if (!strcasecmp(bus, bus_of(i)))
			return handle(i, device);
	return NOT_FOUND;
}

int nvmlDeviceGetHandleByPciBusId(const char *bus, struct device **device)
{
	return nvmlDeviceGetHandleByPciBusId_v2(bus, device);
}
#endif

static const char *uuid_of(int gpu)
{
	static char made[64];
	snprintf(made, sizeof made, "GPU-00000000-0000-0000-0000-%012x", gpu);
	return gpu_text(gpu, "uuid", made);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct device **device)
{
	for (int i = 0; i < gpu_count(); i++)
		if (!strcmp(uuid, uuid_of(i)))
			return handle(i, device);
	return NOT_FOUND;
}

struct pci_info {
	char legacy[16];
	unsigned int domain, bus, device, id, subsystem;
	char bus_id[32];
};

int nvmlDeviceGetPciInfo_v3(struct device *device, struct pci_info *info)
{
	memset(info, 0, sizeof *info);
	snprintf(info->bus_id, sizeof info->bus_id, "0000%s", bus_of(device->index)); /* eight digits, as NVML does */
	return OK;
}

int nvmlDeviceGetIndex(struct device *device, unsigned int *index)
{
	*index = (unsigned int)device->index;
	return OK;
}

int nvmlDeviceGetMinorNumber(struct device *device, unsigned int *minor)
{
	*minor = (unsigned int)gpu_number(device->index, "minor", device->index);
	return OK;
}

int nvmlDeviceGetUUID(struct device *device, char *uuid, unsigned int length)
{
	char made[96];
	if (device->parent >= 0) {
		snprintf(made, sizeof made, "MIG-%08x-0000-0000-%04x-%012x", device->parent, device->gi, device->ci);
		return copy(uuid, length, made);
	}
	return copy(uuid, length, uuid_of(device->index));
}

int nvmlDeviceGetName(struct device *device, char *name, unsigned int length)
{
	return copy(name, length, gpu_text(device->index, "name", "NVIDIA A100-SXM4-80GB"));
}

int nvmlDeviceGetBrand(struct device *device, int *brand)
{
	*brand = gpu_number(device->index, "brand", 14);
	return OK;
}

int nvmlDeviceGetCudaComputeCapability(struct device *device, int *major, int *minor)
{
	return sscanf(gpu_text(device->index, "cc", "8.0"), "%d.%d", major, minor) == 2 ? OK : 999;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMigMode(struct device *device, unsigned int *current, unsigned int *pending)
{
	int mode = gpu_number(device->index, "mig", -1);
	*current = mode > 0;
	*pending = (unsigned int)gpu_number(device->index, "mig_pending", mode > 0);
	return gpu_number(device->index, "mig_code", mode < 0 ? NOT_SUPPORTED : OK);
}

int nvmlDeviceGetMaxMigDeviceCount(struct device *device, unsigned int *count)
{
	(void)device;
	*count = MAX_INSTANCES - 1;
	return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(struct device *device, unsigned int index, struct device **out)
{
	const char *list = gpu_text(device->index, "instances", "");
	for (unsigned int i = 0; *list && i < MAX_INSTANCES; i++) {
		struct device *one = &instances[device->index][i];
		if (i == index && sscanf(list, "%d/%d", &one->gi, &one->ci) == 2) {
			one->index = one->parent = device->index;
			*out = one;
			return OK;
		}
		list += strcspn(list, ",");
		list += *list == ',';
	}
	return NOT_FOUND;
}

int nvmlDeviceGetGpuInstanceId(struct device *device, unsigned int *id)
{
	*id = (unsigned int)device->gi;
	return device->parent < 0 ? NOT_SUPPORTED : OK;
}

int nvmlDeviceGetComputeInstanceId(struct device *device, unsigned int *id)
{
	*id = (unsigned int)device->ci;
	return device->parent < 0 ? NOT_SUPPORTED : OK;
}

static int fabric_code(struct device *device)
{
	trouble("fabric");
	int without = gpu_text(device->index, "fabric_state", NULL) ? OK : NOT_SUPPORTED;
	return gpu_number(device->index, "fabric_code", without);
}

struct fabric {
	unsigned char cluster[16];
	unsigned int status, clique;
	unsigned char state;
};

int nvmlDeviceGetGpuFabricInfo(struct device *device, struct fabric *info)
{
	memset(info, 0, sizeof *info);
	info->state = (unsigned char)gpu_number(device->index, "fabric_state", 0);
	info->status = (unsigned int)gpu_number(device->index, "fabric_status", 0);
	return fabric_code(device);
}

#ifndef NO_FABRIC_V
struct fabric_v {
	unsigned int version;
	struct fabric info;
	unsigned int health;
	unsigned char summary; /* from version 3 on */
};

int nvmlDeviceGetGpuFabricInfoV(struct device *device, struct fabric_v *info)
{
	unsigned int wanted = info->version >> 24;
	if (wanted != 2 && wanted != (unsigned int)number("fabric_version", 3))
		return VERSION_MISMATCH;
	info->info.state = (unsigned char)gpu_number(device->index, "fabric_state", 0);
	info->info.status = (unsigned int)gpu_number(device->index, "fabric_status", 0);
	info->health = (unsigned int)gpu_number(device->index, "fabric_health", 0);
	return fabric_code(device);
}
#endif
#endif
