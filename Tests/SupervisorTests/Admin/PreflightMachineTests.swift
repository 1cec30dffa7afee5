import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite("Preflight: keys, limits, the unit, ports")
struct PreflightMachineTests {
    @Test("A unit and its drop-ins: the last value counts, with its place")
    func unit() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        directory.write(
            "usr/lib/systemd/system/stoker.service",
            "[Unit]\nUser=no\n[Service]\n# User=no\nUser=stoker\nLimitNOFILE=1048576\nTasksMax=infinity\n")
        directory.write(
            "etc/systemd/system/stoker.service.d/a.conf", "[Service]\nLimitNOFILE = 1024:4096 \nTasksMax=\n")
        directory.write("usr/lib/systemd/system/stoker.service.d/a.conf", "[Service]\nUser=hidden\n")
        let unit = try #require(UnitFile.find(root: directory.path))
        #expect(unit.settings["User"]?.value == "stoker" && unit.settings["User"]?.line == 5)
        #expect(unit.settings["LimitNOFILE"]?.value == "1024:4096" && unit.settings["LimitNOFILE"]?.line == 2)
        #expect(unit.settings["TasksMax"] == nil)
        #expect(UnitFile.find(root: "\(directory.path)/none") == nil)
        #expect(UnitFile.limit("1024:infinity")?.hard == .max && UnitFile.limit("64M")?.soft == 64 << 20)
        #expect(UnitFile.limit("much") == nil && UnitFile.limit("1:2:3") == nil)
    }

    @Test("With a unit it is the unit's environment that counts, not the caller's")
    func environment() throws {
        #expect(UnitFile.assignments(#"A=b "C=d e" F='g' H"#) == ["A": "b", "C": "d e", "F": "g"])
        var unit = UnitFile(file: "/x/stoker.service")
        unit.read("[Service]\nUser=root\nEnvironment=A=1 B=2\nEnvironment=B=3\n", from: "/x/stoker.service")
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        var preflight = AdminPreflightTests().preflight(directory) { $1.model = "org/model" }
        preflight.use(unit)
        #expect(preflight.environment["HF_TOKEN"] == nil && preflight.environment["B"] == "3")
        #expect(preflight.environment["HOME"] == "/root" && preflight.environment["A"] == "1")
        #expect(
            preflight.run().findings.contains { $0.path == "providers.chat.command" && $0.message.contains("PATH") })
        unit.read("[Service]\nEnvironment=\n", from: "/x/stoker.service")
        #expect(unit.variables.isEmpty)
    }

    @Test("Limits: the unit's where there is one, else this process's")
    func limits() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        func found(_ unit: UnitFile?, files: UInt64 = 1 << 20, _ args: [String] = []) -> [PreflightFinding] {
            var preflight = AdminPreflightTests().preflight(directory) { $1.args = args }
            preflight.unit = unit
            preflight.limits = ProcessLimits(filesSoft: 1024, filesHard: files, lockedHard: 8 << 20)
            return preflight.run().findings
        }
        #expect(found(nil).isEmpty)
        let few = found(nil, files: 4096)
        #expect(few.count == 1 && few[0].severity == .warning && few[0].message.contains("about 1792 clients"))
        var unit = UnitFile(file: "/x/stoker.service")
        #expect(found(unit, files: 4096).isEmpty, "systemd's own limit suffices")
        unit.read("[Service]\nLimitNOFILE=1024\nTasksMax=100\n", from: "/x/stoker.service")
        let places = found(unit).map(\.place)
        #expect(places == [.init(file: "/x/stoker.service", line: 2), .init(file: "/x/stoker.service", line: 3)])
        let moved = found(nil, ["--kv-transfer-config", "{}"])
        #expect(moved.count == 1 && moved[0].path == "providers.chat.args" && moved[0].message.contains("8 MiB"))
    }

    @Test("Keys that others can read")
    func keys() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let file = directory.write("key", "k")
        func found(_ mode: mode_t) -> [String] {
            chmod(file, mode)
            var preflight = AdminPreflightTests().preflight(directory)
            preflight.keyFiles = ["master_key_file": file]
            return preflight.run().findings.map { "\($0.severity.rawValue) \($0.path) \($0.message)" }
        }
        #expect(found(0o600).isEmpty)
        #expect(
            found(0o644) == [
                "warning master_key_file \(file) can be read by everybody: 'chmod 600 \(file)', owned by the daemon's user"
            ])
    }

    @Test("Another user's view of a path")
    func reader() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let file = directory.write("closed/key", "k", mode: 0o600)
        chmod("\(directory.path)", 0o755)
        chmod("\(directory.path)/closed", 0o755)
        let stranger = Reader(name: "stranger", user: 54_321, groups: [54_321])
        #expect(stranger.obstacle(to: file) == file)
        chmod(file, 0o644)
        #expect(stranger.obstacle(to: file) == nil)
        chmod("\(directory.path)/closed", 0o700)
        #expect(stranger.obstacle(to: file) == "\(directory.path)/closed")
        #expect(Reader(name: "owner", user: getuid(), groups: []).obstacle(to: file) == nil)
        #expect(stranger.obstacle(to: "/no/such/file") == nil)
        #expect(Reader("no-such-user-here") == nil)
    }

    @Test("Who listens on a port, by the kernel's table")
    func listener() {
        let text = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:1F90 0100007F:A001 01 00000000:00000000 00:00000000 00000000     0        0 11 1 0 20 4 30 10 -1
               1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 12 1 0 100 0 0 10 0
            """
        let found = PortHolder.listener(on: 8080, in: text)
        #expect(found?.inode == "12" && found?.user == 33)
        #expect(PortHolder.listener(on: 8081, in: text) == nil)
        #expect(PortHolder(user: 4_000_000_000).words == "a process of user 4000000000")
    }
}
