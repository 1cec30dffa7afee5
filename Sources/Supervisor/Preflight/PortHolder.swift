import Glibc

/// Who listens on a TCP port: by /proc/net/tcp, and by /proc/PID/fd as far as this user may look.
struct PortHolder: Sendable, Hashable {
    /// The user who made the socket.
    var user: UInt32
    /// The process; nil where it is another user's and cannot be seen.
    var pid: Int32?
    /// The process's command line, cut.
    var command: String = ""

    /// In a person's words: `nginx: master process (pid 812)`, `a process of user www-data`.
    var words: String {
        guard let pid else { return "a process of \(Self.name(of: user))" }
        return command.isEmpty ? "pid \(pid)" : "pid \(pid) (\(command))"
    }

    /// Who has a port; nil where nobody is seen to.
    static func find(port: UInt16, proc: String = "/proc") -> PortHolder? {
        for table in ["tcp", "tcp6"] {
            guard let text = SystemFile.text("\(proc)/net/\(table)", limit: 16 << 20),
                let (inode, user) = listener(on: port, in: text)
            else { continue }
            return holder(of: inode, user: user, proc: proc)
        }
        return nil
    }

    /// The inode and the user of the socket that listens on a port, in the text of /proc/net/tcp.
    static func listener(on port: UInt16, in text: String) -> (inode: String, user: UInt32)? {
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            // sl, local, remote, state (0A: listening), queues, timer, retransmits, uid, timeout, inode
            guard fields.count > 9, fields[3] == "0A", let colon = fields[1].lastIndex(of: ":"),
                UInt16(fields[1][fields[1].index(after: colon)...], radix: 16) == port
            else { continue }
            return (String(fields[9]), UInt32(fields[7]) ?? 0)
        }
        return nil
    }

    private static func holder(of inode: String, user: UInt32, proc: String) -> PortHolder {
        for name in SystemFile.names(in: proc) {
            guard let pid = Int32(name) else { continue }
            for descriptor in SystemFile.names(in: "\(proc)/\(pid)/fd")
            where SystemFile.link("\(proc)/\(pid)/fd/\(descriptor)") == "socket:[\(inode)]" {
                return PortHolder(user: user, pid: pid, command: String(ProcessTable.commandLine(pid).prefix(60)))
            }
        }
        return PortHolder(user: user)
    }

    private static func name(of user: UInt32) -> String {
        guard let entry = getpwuid(user) else { return "user \(user)" }
        return "user \(String(cString: entry.pointee.pw_name))"
    }
}
