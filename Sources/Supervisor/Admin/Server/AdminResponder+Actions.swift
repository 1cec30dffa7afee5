import Fleet
import Glibc
import HTTPTypes
import Hummingbird

extension AdminResponder {
    /// `POST /api/v1/instances/{id}/{command}`: waits for the end, with `?wait=0` only for an early refusal.
    func act(_ command: OperatorCommand, on name: String, _ request: Request) async throws -> Response {
        guard InstanceName.isValid(name) else { throw ControlFailure.noSuchInstance(name) }
        logger.notice("An operator's command", metadata: ["command": "\(command.rawValue)", "name": "\(name)"])
        let patience: Duration? = flag("wait", of: request, default: true) ? nil : .milliseconds(300)
        let control = control
        let result = try await outcome(within: patience) { () async -> Result<Void, ControlFailure> in
            do throws(ControlFailure) {
                try await control.act(command, on: name)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        guard let result else {
            return AdminJSON.response(
                Outcome(command: command.rawValue, name: name, outcome: "accepted"), status: .accepted)
        }
        try result.get()
        return AdminJSON.response(Outcome(command: command.rawValue, name: name, outcome: "done"))
    }

    /// `PUT /api/v1/instances/{id}`: `{"base_url": …, "api_key_file": …}`. A key itself is not taken: what is attached is
    /// kept in the state directory, and keys are kept by path.
    func attach(_ name: String, _ request: Request) async throws -> Response {
        guard InstanceName.isValid(name) else {
            throw AdminError.badRequest(
                "'\(name)' is no instance's name: 1 to 63 lower case letters, digits and hyphens", code: "invalid_name")
        }
        guard request.headers[.contentType]?.hasPrefix("application/json") == true else {
            throw AdminError(
                status: .unsupportedMediaType, code: "unsupported_media_type",
                message: "the body is to be JSON, with 'Content-Type: application/json'")
        }
        let attachment = try AdminJSON.decode(AttachBody.self, from: try await body(of: request))
        guard attachment.apiKey == nil else {
            throw AdminError.badRequest("a key is kept by its path: put it into a file and give api_key_file")
        }
        try attachment.apiKeyFile.map(checkKey)
        try await control.attach(name: name, baseURL: attachment.baseURL, apiKeyFile: attachment.apiKeyFile)
        logger.notice("Attached by an operator", metadata: ["name": "\(name)"])
        return AdminJSON.response(Outcome(command: "attach", name: name, outcome: "done"))
    }

    /// `POST /api/v1/reload`, `?plan=1` for the plan alone. Where a new program takes over the answer is 202: how that went
    /// is in its status, by the reload's number.
    func reload(_ request: Request) async throws -> Response {
        let isPlan = flag("plan", of: request, default: false)
        do throws(ControlFailure) {
            let report = try await control.reload(planOnly: isPlan)
            return AdminJSON.response(report, status: report.successor == nil || isPlan ? .ok : .accepted)
        } catch {
            throw AdminError.from(error, failed: .unprocessableContent)
        }
    }

    /// Whether the daemon can read a key from this file; it keeps the path, and reads it as the configuration's.
    private func checkKey(_ path: String) throws {
        guard path.hasPrefix("/") else {
            throw AdminError.badRequest("api_key_file is to be an absolute path, and '\(path)' is not")
        }
        // A pipe would hold up whoever opens it until somebody writes.
        var info = stat()
        guard stat(path, &info) != 0 || info.st_mode & S_IFMT == S_IFREG else {
            throw AdminError.badRequest("the key file \(path) is to be an ordinary file")
        }
        do {
            _ = try AdminToken.read(path)
        } catch AdminToken.Failure.unreadable(_, let reason) {
            throw AdminError.badRequest("the key file \(path) cannot be read by the daemon (\(reason))")
        } catch {
            throw AdminError.badRequest("the key file \(path) is to hold one key and nothing else")
        }
    }

    /// A yes or no of the query: `?plan`, `?plan=1`, `?wait=0`.
    func flag(_ name: String, of request: Request, default standard: Bool) -> Bool {
        guard let value = request.uri.queryParameters[Substring(name)] else { return standard }
        return value != "0" && value != "false"
    }

    /// Runs a command to its end whoever stops waiting for it. nil when the patience is over before it ends; throws when
    /// the server stops.
    private func outcome(
        within patience: Duration?, _ command: @escaping @Sendable () async -> Result<Void, ControlFailure>
    ) async throws -> Result<Void, ControlFailure>? {
        enum Event: Sendable {
            case ended(Result<Void, ControlFailure>)
            case patienceOver
        }
        let (events, source) = AsyncStream.makeStream(of: Event.self)
        Task.detached { source.yield(.ended(await command())) }
        let timer = patience.map { patience in
            Task {
                try? await Task.sleep(for: patience)
                source.yield(.patienceOver)
            }
        }
        defer { timer?.cancel() }
        for await event in events {
            switch event {
            case .ended(let result): return result
            case .patienceOver: return nil
            }
        }
        throw AdminError(
            status: .serviceUnavailable, code: "stopping",
            message: "the daemon stops: the command's outcome is not known")
    }
}

/// The names that instances and providers may have.
enum InstanceName {
    /// `[a-z0-9-]{1,63}`
    static func isValid(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    return true
                default: return false
                }
            }
    }
}
