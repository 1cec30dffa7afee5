import ArgumentParser
import Fleet

/// `stoker`
struct StokerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stoker",
        abstract: "Keeps vLLM servers running and puts one address in front of them.",
        discussion: """
            'stoker run' is the daemon; every other command but 'check' and 'version' talks to it over its admin socket \
            (root, the daemon's user, or group stoker).

            Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 no daemon reachable, 4 no such instance.

            Completion: stoker --generate-completion-script bash (or zsh, fish).
            """,
        version: "stoker \(BuildInfo.version)",
        groupedSubcommands: [
            CommandGroup(name: "Daemon:", subcommands: [RunCommand.self, CheckCommand.self, ReloadCommand.self]),
            CommandGroup(
                name: "Instances:",
                subcommands: [
                    StatusCommand.self, StartCommand.self, StopCommand.self, RestartCommand.self, DrainCommand.self,
                    UndrainCommand.self, LogsCommand.self, AttachCommand.self, DetachCommand.self,
                ]),
            CommandGroup(
                name: "For scripts and units:",
                subcommands: [
                    ProbeCommand.self, TokenCommand.self, SweepCommand.self, VersionCommand.self, BugReportCommand.self,
                    RehearseCommand.self,
                ]),
        ])
}
