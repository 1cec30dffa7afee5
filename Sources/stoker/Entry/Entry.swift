import ArgumentParser
import CLinux
import Dispatch
import Fleet
import Gateway
import Glibc
import Supervisor

/// From arguments to an exit code.
enum Entry {
    /// Runs the command that the arguments name, to its end.
    static func run(_ arguments: [String]) -> Int32 {
        if arguments.first == GatewayArguments.word { return runGateway(Array(arguments.dropFirst())) }
        // Here, where there is one thread yet: no signal is missed, and no thread is made that holds any back.
        if arguments.first == RunCommand.configuration.commandName { Daemon.takeSignals() }
        do {
            let command = try StokerCommand.parseAsRoot(arguments)
            if let command = command as? any AsyncParsableCommand { return runAsync(command) }
            var synchronous = command
            try synchronous.run()
            return ExitStatus.done.rawValue
        } catch {
            return report(error)
        }
    }

    /// Says why a command ended and returns its exit code: ArgumentParser's own 64 for wrong usage is 2 here.
    static func report(_ error: any Error) -> Int32 {
        if let failure = error as? CommandFailure {
            Terminal.error("stoker: \(failure.message)")
            return failure.status.rawValue
        }
        if let status = error as? ExitCode { return status.rawValue }
        let code = StokerCommand.exitCode(for: error)
        let message = StokerCommand.fullMessage(for: error)
        if code.isSuccess {
            Terminal.print(message)
            return ExitStatus.done.rawValue
        }
        Terminal.error(message)
        return code == .validationFailure ? ExitStatus.usage.rawValue : ExitStatus.failed.rawValue
    }

    /// The worker that the supervisor starts; hidden, and without an argument parser's help.
    private static func runGateway(_ arguments: [String]) -> Int32 {
        // Started by another path than its name.
        stoker_name_process("stoker")
        do {
            let arguments = try GatewayArguments(arguments)
            return GatewayWorker.run(
                GatewayOptions(
                    registryPath: arguments.registry,
                    listeners: arguments.listeners.map { .init(descriptor: $0.descriptor, name: $0.name) },
                    loops: arguments.loops, build: BuildInfo.version,
                    log: getenv(GatewayLog.variable).flatMap { .init(rawValue: String(cString: $0)) } ?? .json))
        } catch {
            Terminal.error("stoker gateway: \(error)")
            return ExitStatus.usage.rawValue
        }
    }

    /// Runs a command that waits for things while the main thread serves the main queue; never returns.
    private static func runAsync(_ command: any AsyncParsableCommand) -> Int32 {
        let given = Given(command: command)
        Task.detached {
            do {
                var command = given.command
                try await command.run()
                exit(ExitStatus.done.rawValue)
            } catch {
                exit(report(error))
            }
        }
        dispatchMain()
    }

    /// A command that is given away whole: nobody else has it from then on.
    private struct Given: @unchecked Sendable {
        var command: any AsyncParsableCommand
    }
}
