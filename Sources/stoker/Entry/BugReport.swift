import Fleet
import FoundationEssentials
import Glibc
import Supervisor

/// The part of a bug report that needs no daemon, as text in sections.
struct BugReport {
    /// What of the machine matters.
    struct Machine {
        /// The kernel's name and release.
        var kernel: String
        /// `/etc/os-release`'s PRETTY_NAME.
        var system: String
        /// Processors and memory.
        var size: String
        /// The limit of open files, soft and hard.
        var openFiles: String

        /// This machine.
        static var present: Machine {
            var names = utsname()
            uname(&names)
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            let memory = lines(of: "/proc/meminfo").first ?? ""
            return Machine(
                kernel: "\(text(&names.sysname)) \(text(&names.release)) \(text(&names.machine))",
                system: lines(of: "/etc/os-release").first { $0.hasPrefix("PRETTY_NAME=") }
                    .map { $0.dropFirst(12).filter { $0 != "\"" } } ?? "unknown system",
                size: "\(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors, \(memory)",
                openFiles: "\(limit.rlim_cur) (at most \(limit.rlim_max))")
        }

        private static func lines(of path: String) -> [Substring] {
            ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
        }

        private static func text<Field>(_ field: inout Field) -> String {
            withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
    }

    var machine: Machine
    var loaded: ConfigurationSource.Loaded
    /// What was found of the machine; nil where there is no configuration to hold it against.
    var preflight: Preflight.Report?

    /// The sections.
    var text: String {
        var text = Self.section(
            "versions",
            """
            stoker \(BuildInfo.version)
            \(machine.kernel)
            \(machine.system)
            \(machine.size)
            open files: \(machine.openFiles)
            """)
        text += Self.section(
            "configuration (\(loaded.file ?? "the environment"))",
            loaded.configuration?.redacted() ?? "cannot be used")
        let problems =
            loaded.problems.map(\.description)
            + (preflight?.findings ?? []).map {
                CheckProblem($0, file: loaded.file, text: loaded.text).description
            }
        text += Self.section("problems", problems.isEmpty ? "none" : problems.joined(separator: "\n"))
        text += Self.section("found", (preflight?.facts ?? []).joined(separator: "\n"))
        return text
    }

    /// A headed part.
    static func section(_ title: String, _ body: String) -> String {
        "==== \(title)\n\(body)\(body.hasSuffix("\n") || body.isEmpty ? "" : "\n")\n"
    }
}
