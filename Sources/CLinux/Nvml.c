#define _GNU_SOURCE
#include "CLinux.h"

#include <dlfcn.h>

// NVML's interface, as far as it is used: stable since driver 510 (nvml.h of CUDA 11.6 and newer).
typedef void *nvml_device;
typedef struct {
    unsigned long long total, free, used;
} nvml_memory;
typedef struct {
    unsigned int pid;
    unsigned long long used;
    unsigned int gpu_instance, compute_instance;
} nvml_process;

static int (*get_count)(unsigned int *);
static int (*get_by_index)(unsigned int, nvml_device *);
static int (*get_by_uuid)(const char *, nvml_device *);
static int (*get_uuid)(nvml_device, char *, unsigned int);
static int (*get_name)(nvml_device, char *, unsigned int);
static int (*get_memory)(nvml_device, nvml_memory *);
typedef struct {
    unsigned int gpu, memory;
} nvml_utilization;
static int (*get_utilization)(nvml_device, nvml_utilization *);
static int (*get_processes)(nvml_device, unsigned int *, nvml_process *);

static void *symbol(void *library, const char *name, const char *older) {
    void *found = dlsym(library, name);
    return found || !older ? found : dlsym(library, older);
}

int stoker_nvml_open(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return -1;
    int (*init)(void) = (int (*)(void))symbol(library, "nvmlInit_v2", "nvmlInit");
    get_count = (int (*)(unsigned int *))symbol(library, "nvmlDeviceGetCount_v2", "nvmlDeviceGetCount");
    get_by_index = (int (*)(unsigned int, nvml_device *))symbol(
        library, "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex");
    get_by_uuid = (int (*)(const char *, nvml_device *))symbol(library, "nvmlDeviceGetHandleByUUID", NULL);
    get_uuid = (int (*)(nvml_device, char *, unsigned int))symbol(library, "nvmlDeviceGetUUID", NULL);
    get_name = (int (*)(nvml_device, char *, unsigned int))symbol(library, "nvmlDeviceGetName", NULL);
    get_memory = (int (*)(nvml_device, nvml_memory *))symbol(library, "nvmlDeviceGetMemoryInfo", NULL);
    // The older versions fill a smaller structure, so there is no falling back to them.
    get_processes = (int (*)(nvml_device, unsigned int *, nvml_process *))symbol(
        library, "nvmlDeviceGetComputeRunningProcesses_v3", NULL);
    get_utilization = (int (*)(nvml_device, nvml_utilization *))symbol(library, "nvmlDeviceGetUtilizationRates", NULL);
    if (!init || !get_count || !get_by_index || !get_by_uuid || !get_uuid || !get_memory) return -2;
    return init() == 0 ? 0 : -3;
}

int stoker_nvml_count(void) {
    unsigned int count = 0;
    return get_count(&count) == 0 ? (int)count : -1;
}

int stoker_nvml_device(int index, char uuid[96], char name[96], uint64_t *total) {
    nvml_device device;
    nvml_memory memory;
    memset(uuid, 0, 96);
    memset(name, 0, 96);
    if (get_by_index((unsigned int)index, &device) != 0 || get_uuid(device, uuid, 96) != 0) return -1;
    if (get_name) get_name(device, name, 96);
    if (get_memory(device, &memory) != 0) return -1;
    *total = memory.total;
    return 0;
}

int stoker_nvml_memory(const char *uuid, uint64_t *free, uint64_t *total) {
    nvml_device device;
    nvml_memory memory;
    if (get_by_uuid(uuid, &device) != 0 || get_memory(device, &memory) != 0) return -1;
    *free = memory.free;
    *total = memory.total;
    return 0;
}

int stoker_nvml_processes(const char *uuid, int32_t *pids, uint64_t *bytes, int room) {
    enum { most = 256 };
    nvml_process found[most];
    unsigned int count = most;
    nvml_device device;
    if (!get_processes || get_by_uuid(uuid, &device) != 0) return -1;
    if (get_processes(device, &count, found) != 0) return -1;
    int taken = 0;
    for (unsigned int index = 0; index < count && index < most && taken < room; index++, taken++) {
        pids[taken] = (int32_t)found[index].pid;
        // All ones where the driver does not say, as under WDDM and in some containers.
        bytes[taken] = found[index].used == ~0ULL ? 0 : found[index].used;
    }
    return taken;
}

int stoker_nvml_utilization(const char *uuid) {
    nvml_device device;
    nvml_utilization rates;
    if (!get_utilization || get_by_uuid(uuid, &device) != 0 || get_utilization(device, &rates) != 0) return -1;
    return rates.gpu > 100 ? 100 : (int)rates.gpu;
}
