import Fleet
import Glibc

/// `stoker check`, second half: what a configuration cannot tell and the machine can. Looks and tries, changes nothing.
public struct Preflight {
    /// A configuration without problems of its own.
    public var configuration: Configuration
    /// The environment that the daemon would have.
    public var environment: [String: String]
    /// Where state and sockets would be.
    public var directories: Directories
    /// Where shared memory is; another place in tests.
    var sharedMemory = "/dev/shm"
    /// Where the NVIDIA driver lists its GPUs; another place in tests.
    var gpuList = "/proc/driver/nvidia/gpus"

    /// What was found.
    public struct Report: Sendable, Hashable {
        /// What is in order and worth knowing, a sentence each.
        public var facts: [String] = []
        /// What is not.
        public var findings: [PreflightFinding] = []
    }

    /// A preflight for a daemon with this environment.
    public init(configuration: Configuration, environment: [String: String], directories: Directories) {
        self.configuration = configuration
        self.environment = environment
        self.directories = directories
    }

    /// Looks at everything.
    public func run() -> Report {
        var report = Report()
        checkDirectories(&report)
        checkListeners(&report)
        checkToken(&report)
        let launches = configuration.providers.compactMap { provider -> (String, LaunchConfiguration)? in
            guard case .launched(let launch) = provider.source else { return nil }
            return ("providers.\(provider.name)", launch)
        }
        for provider in configuration.providers {
            guard case .attached(let attached) = provider.source, let file = attached.caFile else { continue }
            if access(file, R_OK) != 0 {
                report.findings.append(
                    .init(.error, "providers.\(provider.name).ca_file", "\(file) cannot be read (\(Self.reason))"))
            }
        }
        guard configuration.mode == .supervise, !launches.isEmpty else { return report }
        for (path, launch) in launches {
            checkCommand(launch, path, &report)
            checkModel(launch, path, &report)
        }
        checkSharedMemory(launches.map(\.1), &report)
        checkGPUs(launches, &report)
        return report
    }

    /// `errno` in words.
    private static var reason: String { String(cString: strerror(errno)) }

    private func checkDirectories(_ report: inout Report) {
        for (name, directory) in [("state", directories.state), ("runtime", directories.runtime)] {
            let existing = FileSystem.nearestExisting(directory)
            guard access(existing, W_OK | X_OK) != 0 else { continue }
            let variable = name == "state" ? "STATE_DIRECTORY" : "RUNTIME_DIRECTORY"
            report.findings.append(
                .init(
                    .error, name,
                    existing == directory
                        ? "the \(name) directory \(directory) may not be written by this user: change its owner, or set "
                            + "\(variable)"
                        : "the \(name) directory \(directory) cannot be made (\(existing) may not be written): make it "
                            + "for the daemon's user, or set \(variable)"))
        }
        let longest = "\(directories.instanceSockets)/999.9999999.sock"
        if longest.utf8.count > 107 {
            report.findings.append(
                .init(
                    .error, "runtime",
                    "the runtime directory \(directories.runtime) is too long: sockets in it would have paths of "
                        + "\(longest.utf8.count) bytes and 107 are allowed; set RUNTIME_DIRECTORY to a shorter one"))
        }
    }

    private func checkListeners(_ report: inout Report) {
        if ListeningSocket.answers(directories.adminSocket) {
            report.facts.append("a daemon runs in \(directories.runtime): whether ports are free was not tried")
            return
        }
        let all =
            configuration.listen.map { ("listen", $0) } + configuration.admin.listen.map { ("admin.listen", $0) }
        for (setting, address) in all {
            switch address {
            case .unix(let path):
                if ListeningSocket.answers(path) {
                    report.findings.append(.init(.error, setting, "another process answers on \(path): stop it first"))
                } else if ListeningSocket.unixAddress(path) == nil {
                    report.findings.append(
                        .init(.error, setting, "\(path) is \(path.utf8.count) bytes long and 107 are allowed"))
                }
            case .tcp:
                do {
                    close(try ListeningSocket.bind(address, setting: setting).descriptor)
                } catch {
                    report.findings.append(.init(.error, setting, "\(error)"))
                }
            }
        }
    }

    private func checkToken(_ report: inout Report) {
        guard let file = configuration.admin.tokenFile else { return }
        let key = "admin.token_file"
        do throws(AdminToken.Failure) {
            _ = try AdminToken.load(
                file: file, stateDirectory: directories.state, masterKey: configuration.masterKey)
        } catch {
            report.findings.append(.init(.error, key, "\(error)"))
            return
        }
        var status = stat()
        if stat(file, &status) == 0, status.st_mode & 0o077 != 0 {
            report.findings.append(
                .init(.warning, key, "\(file) can be read by others than its owner: 'chmod 600 \(file)'"))
        }
    }

    private func checkCommand(_ launch: LaunchConfiguration, _ path: String, _ report: inout Report) {
        guard let word = launch.command.first else { return }
        let search = launch.env["PATH"]?.reveal() ?? environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        guard let file = EngineInterpreter.resolve(word, path: search) else {
            let isThere = word.contains("/") && access(word, F_OK) == 0
            report.findings.append(
                .init(
                    .error, "\(path).command",
                    isThere
                        ? "\(word) is there and may not be executed: 'chmod +x' it, or name another"
                        : "\(word) is not found\(word.contains("/") ? "" : " on the PATH (\(search))"): install vLLM "
                            + "there ('pip install vllm'), or name the command with its whole path, such as "
                            + "command: [/opt/vllm/bin/vllm, serve]"))
            return
        }
        guard launch.command.dropFirst().first == "serve" || word.hasSuffix("vllm") else {
            report.facts.append("\(path): runs \(file)")
            return
        }
        let environment = environment.merging(["PATH": search]) { $1 }
        if let version = EngineVersions().version(of: launch.command, environment: environment) {
            report.facts.append("\(path): runs \(file), vLLM \(version)")
        } else {
            report.findings.append(
                .init(
                    .warning, "\(path).command",
                    "the version of \(file) is not known (no vllm metadata beside its interpreter): it is launched over "
                        + "TCP and without optional flags"))
        }
    }

    private func checkModel(_ launch: LaunchConfiguration, _ path: String, _ report: inout Report) {
        // A hub's id has no leading slash or dot; whether it exists there is not asked.
        guard launch.model.hasPrefix("/") || launch.model.hasPrefix("./") || launch.model.hasPrefix("../") else {
            return
        }
        if access(launch.model, F_OK) != 0 {
            report.findings.append(
                .init(.error, "\(path).model", "there is no \(launch.model) (\(Self.reason)): check the path"))
        } else if FileSystem.isDirectory(launch.model), access("\(launch.model)/config.json", R_OK) != 0 {
            report.findings.append(
                .init(
                    .error, "\(path).model",
                    "\(launch.model) has no config.json that can be read: it is no model's folder"))
        }
    }

    private func checkSharedMemory(_ launches: [LaunchConfiguration], _ report: inout Report) {
        var status = statvfs()
        guard statvfs(sharedMemory, &status) == 0 else {
            report.findings.append(
                .init(
                    .error, "providers", "\(sharedMemory) is not there: vLLM's processes talk through it; mount a tmpfs"
                ))
            return
        }
        let free = (UInt64(status.f_bavail) * UInt64(status.f_frsize)) >> 20
        let wanted: UInt64 = 512
        if free < wanted {
            report.findings.append(
                .init(
                    .warning, "providers",
                    "\(sharedMemory) has \(free) MiB free and vLLM's processes talk through it (\(wanted) MiB are "
                        + "comfortable): in a container, give --shm-size=2g or --ipc=host"))
        }
    }

    private func checkGPUs(_ launches: [(String, LaunchConfiguration)], _ report: inout Report) {
        let present = SystemFile.names(in: gpuList).count
        var counted = 0
        for (path, launch) in launches {
            switch launch.gpus {
            case .automatic: counted += present > 0 ? launch.replicas : 0
            case .count(let count): counted += count * launch.replicas
            case .devices(let devices):
                if !devices.isEmpty, present == 0 {
                    report.findings.append(.init(.error, "\(path).gpus", "this machine shows no NVIDIA GPU"))
                }
                for device in devices {
                    guard let index = Int(device), index >= present, present > 0 else { continue }
                    report.findings.append(
                        .init(.error, "\(path).gpus", "there is no GPU \(index): this machine shows \(present), from 0")
                    )
                }
            }
        }
        guard counted > present else { return }
        report.findings.append(
            .init(
                .error, "providers",
                "\(counted) GPUs are asked for and this machine shows \(present): fewer replicas or gpus, or gpus: 0 for "
                    + "the CPU"))
    }
}
