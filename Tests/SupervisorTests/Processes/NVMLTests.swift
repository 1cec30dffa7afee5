import Glibc
import Testing

@testable import Supervisor

@Suite("NVML, opened at run time")
struct NVMLTests {
    /// A library with NVML's names and two processors.
    private static let fake = """
        #include <string.h>
        #include <stdio.h>
        typedef struct { unsigned long long total, free, used; } memory;
        typedef struct { unsigned int pid; unsigned long long used; unsigned int a, b; } process;
        static int one = 1, two = 2;
        int nvmlInit_v2(void) { return 0; }
        int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
        int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) { *device = index ? &two : &one; return index > 1; }
        int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
            *device = strcmp(uuid, "GPU-2") ? &one : &two; return strncmp(uuid, "GPU-", 4) != 0;
        }
        int nvmlDeviceGetUUID(void *device, char *text, unsigned int size) { return snprintf(text, size, "GPU-%d", *(int *)device) < 0; }
        int nvmlDeviceGetName(void *device, char *text, unsigned int size) { return snprintf(text, size, "Fake") < 0; }
        int nvmlDeviceGetMemoryInfo(void *device, memory *m) { m->total = 80; m->free = *(int *)device; m->used = 0; return 0; }
        int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process *list) {
            list[0].pid = 42; list[0].used = 79; *count = 1; return 0;
        }
        int nvmlDeviceGetUtilizationRates(void *device, unsigned int *rates) { rates[0] = 50; rates[1] = 1; return 0; }
        """

    @Test("devices and memory, from a library built here")
    func fakeLibrary() throws {
        let folder = TestFolder()
        guard let compiler = EngineInterpreter.resolve("cc", path: nil) ?? EngineInterpreter.resolve("clang", path: nil)
        else {
            print("SKIPPED: no C compiler to build a fake NVML with")
            return
        }
        let source = folder.script("nvml.c", Self.fake)
        let library = "\(folder.path)/libnvidia-ml.so.1"
        guard
            case .success(let pid) = EngineSpawner.execute(
                SpawnerBench.executable ?? "",
                Trampoline.arguments(
                    executable: "", join: nil, log: "\(folder.path)/cc.log", openFiles: nil, oomScore: nil,
                    command: [compiler, "-shared", "-fPIC", "-o", library, source]),
                ["PATH": "/usr/local/bin:/usr/bin:/bin"])
        else {
            Issue.record("the compiler did not start")
            return
        }
        waitpid(pid, nil, 0)
        let nvml = try #require(NVML(library: library))
        #expect(
            nvml.devices() == [
                GPU(index: 0, uuid: "GPU-1", name: "Fake", memoryBytes: 80),
                GPU(index: 1, uuid: "GPU-2", name: "Fake", memoryBytes: 80),
            ])
        #expect(nvml.memory(of: "GPU-2") == GPUMemory(free: 2, total: 80, holders: [42: 79]))
        #expect(nvml.memory(of: "none") == nil)
        #expect(nvml.utilization(of: "GPU-1") == 0.5)
        #expect(nvml.utilization(of: "none") == nil)
    }

    @Test("without the library there are simply no GPUs")
    func noLibrary() { #expect(NVML(library: "libno-such-nvml.so.1") == nil) }
}
