import Fleet
import Glibc

/// What the gateway is given: sockets, environment.
extension Daemon {
    static func sockets(
        for addresses: [ListenAddress], _ inherited: InheritedSockets
    ) throws(DaemonFailure) -> [ListeningSocket] {
        var inherited = inherited
        defer { inherited.closeRest() }
        var sockets: [ListeningSocket] = []
        do throws(ListeningSocket.Failure) {
            for address in addresses { sockets.append(try inherited.take(address, setting: "listen")) }
        } catch {
            throw DaemonFailure(error.description)
        }
        return sockets
    }

    /// What a gateway process needs of our environment; keys reach it through the registry alone.
    static func gatewayEnvironment(_ environment: [String: String]) -> [String: String] {
        let wanted: Set<String> = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"]
        var chosen = environment.filter { wanted.contains($0.key) }
        // A gateway that crashes ends at once: whoever writes a backtrace first holds its clients up.
        chosen["SWIFT_BACKTRACE"] = "enable=no"
        // Its stderr is ours: its lines look like ours.
        chosen["STOKER_LOG"] = DaemonLog.destination(environment: environment).rawValue
        return chosen
    }

    /// The gateway's new order where its addresses or loops change; every new address is bound first, so that nothing is
    /// applied where one cannot be had.
    func gatewayOrder(
        for difference: ConfigurationDifference, _ new: Configuration
    ) async throws(ControlFailure) -> GatewayLaunchOrder? {
        guard difference.needsNewGateway else { return nil }
        var order = await keeper.order
        var inherited = InheritedSockets(order.listeners)
        var listeners: [ListeningSocket] = []
        do throws(ListeningSocket.Failure) {
            for address in new.listen { listeners.append(try inherited.take(address, setting: "listen")) }
        } catch {
            for socket in listeners where !order.listeners.contains(socket) { close(socket.descriptor) }
            throw .refused(error.description)
        }
        // A port of the kernel's choice that is named now, for instance.
        let asks = difference.settings.filter { $0.reload == .newGateway }
        if listeners == order.listeners, asks.allSatisfy({ $0.path == "listen" || $0.path.hasPrefix("listen[") }) {
            return nil
        }
        order.listeners = listeners
        order.loops = new.gateway.loops
        return order
    }

    func renewGateway(_ order: GatewayLaunchOrder?) async {
        guard let order else { return }
        let before = await keeper.listeners
        await keeper.renew(order)
        for listener in order.listeners { notifier.store(listener.descriptor, name: "gateway") }
        await keeper.settle(within: .seconds(20))
        // Only when nobody accepts there any more: whoever comes then is refused, not left to wait.
        guard await keeper.isCurrent else { return }
        for socket in before where !order.listeners.contains(socket) {
            shutdown(socket.descriptor, Int32(SHUT_RDWR))
            close(socket.descriptor)
        }
    }
}
