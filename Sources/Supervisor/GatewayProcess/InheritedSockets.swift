import CSystemd
import Fleet
import Glibc

/// Listening sockets that are open already when the daemon starts: from systemd (a .socket unit, or what an earlier life
/// put into the unit's descriptor store), from the program that this one took the place of, and from a gateway that an
/// earlier life has left running.
struct InheritedSockets {
    private var sockets: [ListeningSocket]

    /// These, which a gateway uses already.
    init(_ sockets: [ListeningSocket]) { self.sockets = sockets }

    /// Those of this process's environment, those that were handed over, and the predecessor's.
    init(handedOver: [Int32] = [], predecessor: GatewayPredecessor?) {
        var found = handedOver.compactMap { ListeningSocket(inherited: $0) }
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
        // Whoever was handed them needs no copies.
        for socket in handedOver.isEmpty ? predecessor?.sockets() ?? [] : [] {
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
