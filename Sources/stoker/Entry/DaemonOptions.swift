import ArgumentParser
import Fleet
import Glibc
import Supervisor

/// Which daemon a command talks to.
struct DaemonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The daemon's admin socket.", valueName: "path"), completion: .file())
    var socket: String?

    @Option(
        name: .customLong("runtime-dir"),
        help: ArgumentHelp("The daemon's runtime directory, which admin.sock is in.", valueName: "path"),
        completion: .directory)
    var runtimeDirectory: String?

    /// The socket: as told, else in `$RUNTIME_DIRECTORY`, else this user's own, else the system's.
    var socketPath: String {
        if let socket { return socket }
        if let runtimeDirectory { return "\(runtimeDirectory)/admin.sock" }
        let environment = Environment.current
        let own = Directories(environment: environment, isRoot: geteuid() == 0).adminSocket
        let system = Directories(environment: [:], isRoot: true).adminSocket
        if environment["RUNTIME_DIRECTORY"] == nil, access(own, F_OK) != 0, access(system, F_OK) == 0 { return system }
        return own
    }

    /// The daemon.
    var daemon: DaemonConnection { DaemonConnection(socketPath: socketPath) }
}
