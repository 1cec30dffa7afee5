/// Where a daemon keeps what outlives it and where its sockets are. Several daemons with different directories
/// run side by side.
public struct Directories: Sendable, Hashable {
    /// `$STATE_DIRECTORY`, else `/var/lib/stoker`, for an ordinary user `$XDG_STATE_HOME/stoker`.
    public var state: String
    /// `$RUNTIME_DIRECTORY`, else `/run/stoker`, for an ordinary user `$XDG_RUNTIME_DIR/stoker`.
    public var runtime: String

    /// Two directories.
    public init(state: String, runtime: String) {
        self.state = state
        self.runtime = runtime
    }

    /// The directories of a process with this environment and effective user.
    public init(environment: [String: String], isRoot: Bool) {
        let home = environment["HOME"] ?? "/"
        func first(_ value: String?) -> String? {
            // systemd joins several directories with colons; the first one is ours.
            guard let value, let head = value.split(separator: ":").first else { return nil }
            return String(head)
        }
        state =
            first(environment["STATE_DIRECTORY"])
            ?? (isRoot ? "/var/lib/stoker" : "\(environment["XDG_STATE_HOME"] ?? "\(home)/.local/state")/stoker")
        runtime =
            first(environment["RUNTIME_DIRECTORY"])
            ?? (isRoot ? "/run/stoker" : "\(environment["XDG_RUNTIME_DIR"] ?? "\(state)/run")/stoker")
    }

    /// The admin socket.
    public var adminSocket: String { "\(runtime)/admin.sock" }
    /// The registry's socket.
    public var registrySocket: String { "\(runtime)/registry.sock" }
    /// The folder of engines' sockets, 0700.
    public var instanceSockets: String { "\(runtime)/i" }
    /// The folder of instances' records that adoption needs.
    public var instances: String { "\(state)/instances" }
    /// The folder of instances' logs.
    public var logs: String { "\(state)/logs" }
}
