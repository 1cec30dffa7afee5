import Fleet
import Glibc

extension Preflight {
    /// Below so many files a machine serves few clients at one time, and whoever set that should know.
    static let usualFiles: UInt64 = 8_192

    /// Limits: the unit's where it would run this configuration, else this process's own, which a daemon started from here
    /// would have.
    func checkLimits(_ report: inout Report) {
        let connections = configuration.limits.connections ?? 0
        let wanted = connections > 0 ? 2 * UInt64(connections) + 1024 : Self.usualFiles
        let files = setting("LimitNOFILE", otherwise: limits.filesHard)
        if files.hard < wanted {
            let hint = files.place == nil ? "raise it ('ulimit -Hn')" : "raise LimitNOFILE= ('systemctl edit stoker')"
            report.add(
                .warning, "limits.connections",
                "\(files.hard) files may be open at one time and each client can take two: not more than about "
                    + "\(max(0, Int(files.hard) - 512) / 2) clients are served at one time; \(hint), or set limits.connections",
                at: files.place)
        }
        let transfers = configuration.providers.filter { provider in
            guard case .launched(let launch) = provider.source else { return false }
            return LaunchCommand.names(launch.args, ["--kv-transfer-config", "--kv-offloading-size"])
        }
        let locked = setting("LimitMEMLOCK", otherwise: limits.lockedHard)
        if let provider = transfers.first, locked.hard != .max {
            report.add(
                .warning, "providers.\(provider.name).args",
                "its cache is moved between machines or to memory, and only \(MemoryNeed.text(locked.hard)) may be locked: "
                    + (locked.place == nil
                        ? "raise it ('ulimit -Hl unlimited')" : "set LimitMEMLOCK=infinity in the unit"),
                at: locked.place)
        }
        if let tasks = unit?.settings["TasksMax"], let limit = UnitFile.limit(tasks.value)?.hard, limit < 4096 {
            report.add(
                .warning, "unit",
                "TasksMax=\(tasks.value) is little for engines, each of which has some hundred threads: TasksMax=infinity",
                at: .init(file: tasks.file, line: tasks.line))
        }
        if let unit {
            report.facts.append(
                "the unit \(unit.file): \(Self.words(files.hard)) files, \(lockedWords(locked.hard)) locked")
        } else {
            report.facts.append(
                "this shell's limits: \(Self.words(files.hard)) files (\(Self.words(limits.filesSoft)) until the daemon raises "
                    + "it), \(lockedWords(locked.hard)) locked")
        }
    }

    /// A limit of the unit with its place; what systemd gives where it says nothing.
    private func setting(_ name: String, otherwise own: UInt64) -> (hard: UInt64, place: PreflightFinding.Place?) {
        guard let unit else { return (own, nil) }
        guard let setting = unit.settings[name], let limit = UnitFile.limit(setting.value) else {
            // systemd.exec(5): 1024:524288 files, and 8 MiB of locked memory.
            return (name == "LimitNOFILE" ? 524_288 : 8 << 20, .init(file: unit.file, line: 0))
        }
        return (limit.hard, .init(file: setting.file, line: setting.line))
    }

    private static func words(_ limit: UInt64) -> String { limit == .max ? "unlimited" : "\(limit)" }

    private func lockedWords(_ limit: UInt64) -> String {
        limit == .max ? "all memory may be" : "\(MemoryNeed.text(limit)) may be"
    }
}
