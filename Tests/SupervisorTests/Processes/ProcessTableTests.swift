import Glibc
import Testing

@testable import Supervisor

@Suite("Reading /proc and cgroups")
struct ProcessTableTests {
    @Test("a command with parentheses and spaces does not shift the fields")
    func stat() {
        let line = "42 (a) b (c) S 7 42 41 0 -1 4194304 1 2 3 4 11 22 0 0 20 0 5 0 98765 1000 333 0 0\n"
        let entry = ProcessTable.parse(Array(line.utf8), pid: 42)
        #expect(entry?.parent == 7)
        #expect(entry?.session == 41)
        #expect(entry?.ticks == 33)
        #expect(entry?.threads == 5)
        #expect(entry?.started == 98765)
        #expect(entry?.residentPages == 333)
        #expect(ProcessTable.parse(Array("42 (a) S 1".utf8), pid: 42) == nil)
        #expect(ProcessTable.entry(getpid())?.pid == getpid())
    }

    @Test("only named files of /dev/shm are taken from maps")
    func maps() {
        let maps = """
            7f0000000000-7f0000001000 rw-s 00000000 00:1a 5 /dev/shm/psm_1234
            7f0000001000-7f0000002000 rw-s 00000000 00:1a 6 /dev/shm/gone (deleted)
            7f0000002000-7f0000003000 r--p 00000000 08:01 7 /usr/lib/libc.so.6
            7f0000003000-7f0000004000 rw-p 00000000 00:00 0
            7f0000004000-7f0000005000 rw-s 00000000 00:1a 8 /dev/shm/sem.mp-abc
            7f0000005000-7f0000006000 rw-s 00000000 00:1a 9 /srv/dev/shm/other
            """
        let found = ProcessTable.sharedMemory(inMaps: Array(maps.utf8))
        #expect(found.named == ["/dev/shm/psm_1234", "/dev/shm/sem.mp-abc"])
        #expect(found.renamed == [6])
    }

    @Test("a named semaphore is found though its maps show a deleted file")
    func semaphore() {
        let name = "stoker-test-\(getpid())-\(UInt32.random(in: .min ... .max))"
        #expect(makeSemaphore(name))
        #expect(ProcessTable.sharedMemory(getpid()).contains("/dev/shm/sem.\(name)"))
        unlink("/dev/shm/sem.\(name)")
        #expect(!ProcessTable.sharedMemory(getpid()).contains("/dev/shm/sem.\(name)"))
    }

    /// sem_open is variadic, so it is played: made under one name, linked to the other, mapped.
    private func makeSemaphore(_ name: String) -> Bool {
        let first = "/dev/shm/sem.tmp-\(name)"
        let fd = open(first, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard fd >= 0, ftruncate(fd, 32) == 0 else { return false }
        defer { close(fd) }
        let mapped = mmap(nil, 32, PROT_READ | PROT_WRITE, Int32(MAP_SHARED), fd, 0)
        return mapped != MAP_FAILED && link(first, "/dev/shm/sem.\(name)") == 0 && unlink(first) == 0
    }

    @Test(
        "the mount and the place of cgroup2",
        arguments: [
            ("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate", "/", "/sys/fs/cgroup"),
            ("41 31 0:38 /a /mnt/cg rw - cgroup2 cgroup2 rw", "/a", "/mnt/cg"),
        ])
    func mount(line: String, root: String, point: String) {
        let found = ProcessTrees.unifiedMount("1 1 0:1 / / rw - ext4 /dev/vda rw\n\(line)\n")
        #expect(found?.root == root)
        #expect(found?.point == point)
    }

    @Test("without cgroup2 the reason is said")
    func noCgroup() {
        let trees = ProcessTrees.detect(
            runtime: "/r", mounts: "1 1 0:1 / / rw - ext4 /dev/vda rw\n", membership: "0::/\n")
        #expect(trees.kind == .session("no cgroup2 is mounted"))
        #expect(
            ProcessTrees.ownPath("1:name=systemd:/x\n0::/system.slice/stoker.service\n")
                == "/system.slice/stoker.service")
        #expect(ProcessTrees.relativePath("/a/b", below: "/a") == "/b")
        #expect(ProcessTrees.relativePath("/ab", below: "/a") == nil)
    }
}
