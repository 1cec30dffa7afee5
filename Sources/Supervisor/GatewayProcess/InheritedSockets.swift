import CSystemd
import Fleet
import Glibc

/// Listening sockets that are open already when the daemon starts: from systemd (a .socket unit, or what an earlier life
/// put into the unit's descriptor store), and from a gateway that an earlier life has left running.
struct InheritedSockets {
    private var sockets: [ListeningSocket]

    /// Those of this process's environment, and the predecessor's.
    init(predecessor: GatewayPredecessor?) {
        var found: [ListeningSocket] = []
        // LISTEN_FDS and LISTEN_PID are checked, and then taken out of the environment (sd_listen_fds(3)).
        let count = sd_listen_fds(1)
        if count > 0 {
            for descriptor in 3..<(3 + count) {
                if let socket = ListeningSocket(inherited: descriptor) {
                    found.append(socket)
                } else {
                    close(descriptor)
                }
            }
        }
        for socket in predecessor?.sockets() ?? [] {
            if found.contains(where: { $0.address == socket.address }) {
                close(socket.descriptor)
            } else {
                found.append(socket)
            }
        }
        sockets = found
    }

    /// The socket of an address, bound now where none was inherited.
    mutating func take(_ address: ListenAddress, setting: String) throws(ListeningSocket.Failure) -> ListeningSocket {
        if let index = sockets.firstIndex(where: { $0.serves(address) }) {
            let socket = sockets.remove(at: index)
            try socket.listen(setting: setting)
            return socket
        }
        let socket = try ListeningSocket.bind(address, setting: setting, access: .everyone)
        try socket.listen(setting: setting)
        return socket
    }

    /// Closes what nobody wanted: addresses that are not configured any more.
    mutating func closeRest() {
        for socket in sockets { close(socket.descriptor) }
        sockets = []
    }
}
