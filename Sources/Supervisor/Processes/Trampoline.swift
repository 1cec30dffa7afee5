import CLinux
import Glibc

/// The step between the supervisor and an engine: our own executable with a hidden command word.
///
/// What must be done in the child before `exec` (cgroup, session, limits, signals) cannot be asked of posix_spawn, and
/// a fork of a process with threads must not do it in Swift. So posix_spawn starts this executable again, which does
/// it in a few lines of C as a process of its own and becomes the engine.
public enum Trampoline {
    /// The hidden command word.
    public static let word = "__launch"

    /// Becomes the engine where the arguments ask for it, and returns otherwise. To be called first in main.swift.
    public static func runIfAsked(_ arguments: [String]) {
        guard arguments.count > 1, arguments[1] == word else { return }
        stoker_trampoline(CommandLine.argc, CommandLine.unsafeArgv)
    }

    /// The arguments that make the executable a trampoline.
    ///
    /// - Parameters:
    ///   - executable: The path of the executable.
    ///   - join: A `cgroup.procs` to join; nil to stay.
    ///   - log: The file that output is appended to.
    ///   - openFiles: The soft limit of open files; nil leaves it.
    ///   - oomScore: `oom_score_adj`; nil leaves it.
    ///   - command: What it becomes.
    static func arguments(
        executable: String, join: String?, log: String, openFiles: UInt64?, oomScore: Int?, command: [String]
    ) -> [String] {
        [executable, word, join ?? "-", log, openFiles.map { "\($0)" } ?? "-", oomScore.map { "\($0)" } ?? "-", "--"]
            + command
    }
}
