import Fleet
import Glibc

extension Preflight {
    func checkDirectories(_ report: inout Report) {
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

    func checkListeners(_ report: inout Report, isRunning: Bool) {
        if isRunning {
            report.facts.append("a daemon runs in \(directories.runtime): whether ports are free was not tried")
            return
        }
        let gateways = Set(GatewayPredecessor.find(StateFile("gateway.json", in: directories))?.all.map(\.pid) ?? [])
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
            case .tcp(_, let port):
                do throws(ListeningSocket.Failure) {
                    close(try ListeningSocket.bind(address, setting: setting).descriptor)
                } catch {
                    if case .taken = error, let holder = PortHolder.find(port: port) {
                        if let pid = holder.pid, gateways.contains(pid) {
                            report.facts.append(
                                "\(address) is kept by the gateway of an earlier life (pid \(pid)): a start takes it over"
                            )
                            continue
                        }
                        report.add(
                            .error, setting,
                            "\(address) is taken by another process, \(holder.words): end it, or set \(setting) to "
                                + "another port ('ss -ltnp sport = :\(port)' shows more)")
                    } else {
                        report.add(.error, setting, "\(error)")
                    }
                }
            }
        }
    }

    func checkKeys(_ report: inout Report) {
        if let file = configuration.admin.tokenFile {
            do throws(AdminToken.Failure) {
                _ = try AdminToken.load(
                    file: file, stateDirectory: directories.state, masterKey: configuration.masterKey)
                checkKeyFile(file, "admin.token_file", &report)
            } catch {
                report.add(.error, "admin.token_file", "\(error)")
            }
        }
        if let file, let reader, let obstacle = reader.obstacle(to: file) {
            report.add(
                .error, "(document)",
                "\(file) cannot be read by \(reader.name), whom the unit runs as (\(obstacle) is in the way): "
                    + "'chgrp \(reader.name) \(file)' and 'chmod 640 \(file)'")
        }
        for (path, file) in keyFiles.sorted(by: { $0.key < $1.key }) { checkKeyFile(file, path, &report) }
        if let tls = configuration.tls {
            for (key, file) in [("certificate_file", tls.certificateFile), ("key_file", tls.keyFile)] {
                if access(file, R_OK) != 0 {
                    report.add(
                        .error, "tls.\(key)",
                        "\(file) cannot be read (\(Self.reason)): check the path, and let the daemon's user read it")
                }
            }
            if access(tls.keyFile, R_OK) == 0 { checkKeyFile(tls.keyFile, "tls.key_file", &report) }
        }
        for provider in configuration.providers {
            guard case .attached(let attached) = provider.source, let file = attached.caFile else { continue }
            if access(file, R_OK) != 0 {
                report.add(
                    .error, "providers.\(provider.name).ca_file",
                    "\(file) cannot be read (\(Self.reason)): check the path, and let the daemon's user read it")
            }
        }
    }

    /// A file that holds a secret, and that whoever asks can read: others should not, and the daemon's user has to.
    private func checkKeyFile(_ file: String, _ path: String, _ report: inout Report) {
        var status = stat()
        guard stat(file, &status) == 0 else { return }
        if status.st_mode & 0o044 != 0 {
            let who = status.st_mode & 0o004 != 0 ? "everybody" : "its whole group"
            // A group of its own is how a key is given to the daemon's user.
            if status.st_mode & 0o004 != 0 || status.st_gid == 0 {
                report.add(
                    .warning, path, "\(file) can be read by \(who): 'chmod 600 \(file)', owned by the daemon's user")
            }
        }
        if let reader, let obstacle = reader.obstacle(to: file) {
            report.add(
                .error, path,
                "\(file) cannot be read by \(reader.name), whom the unit runs as (\(obstacle) is in the way): "
                    + "'chown \(reader.name) \(file)', or give it with LoadCredential= in the unit")
        }
    }
}
