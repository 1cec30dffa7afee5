import Glibc
import Testing

@testable import Supervisor

@Suite("No descriptor is left", .serialized)
struct SpareDescriptorTests {
    @Test("a process is not taken for gone, a tree not for empty, a folder not for nothing; and it is said")
    func exhausted() {
        SpareDescriptor.prepare()
        var before = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
        let lowest = open("/dev/null", O_RDONLY | O_CLOEXEC)
        // Every number below the limit is taken from now on.
        var limit = rlimit(rlim_cur: rlim_t(lowest + 1), rlim_max: before.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        var taken: [Int32] = []
        while case let fd = open("/dev/null", O_RDONLY | O_CLOEXEC), fd >= 0 { taken.append(fd) }
        let entry = ProcessTable.entry(getpid())
        let names = SystemFile.names(in: "/proc/self")
        let shortage = SpareDescriptor.shortage()
        let missing = SystemFile.bytes("/proc/none")
        for fd in taken + [lowest] { close(fd) }
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
        #expect(entry?.pid == getpid())
        #expect(names.contains("stat"))
        #expect(shortage?.contains("no file descriptor left") == true)
        #expect(missing == nil)
        #expect(SpareDescriptor.shortage() == nil)
    }
}
