import Fleet
import Health
import Synchronization

/// Asks the gateway as a client would, with the key that the dashboard does not have: what the try box shows is what
/// clients get, authentication, routing and limits included.
final class ChatRelay: Sendable {
    /// How many chats there may be at one time: this is for trying, not for serving.
    static let most = 8
    /// How long a chat may take.
    static let longest: Duration = .seconds(600)

    private let open = Atomic<Int>(0)

    /// Where a gateway is reached that listens on these addresses; nil where it listens nowhere.
    static func endpoint(of addresses: [ListenAddress], tls: Bool) -> Endpoint? {
        var found: Endpoint?
        for address in addresses {
            switch address {
            case .unix(let path): return Endpoint(address: .unix(path: path), host: "localhost")
            case .tcp(let host, let port):
                let ip: String
                switch host {
                case "0.0.0.0", "localhost": ip = "127.0.0.1"
                case "::": ip = "::1"
                default: ip = host
                }
                let authority = "\(ip.contains(":") ? "[\(ip)]" : ip):\(port)"
                found =
                    found
                    ?? Endpoint(
                        address: .tcp(ip: ip, port: port), host: authority,
                        tls: tls ? Endpoint.TLS(serverName: ip) : nil)
            }
        }
        return found
    }

    /// Sends a chat.
    ///
    /// - Throws: ``ControlFailure`` when there are too many already, or the gateway does not answer.
    func send(_ body: [UInt8], to endpoint: Endpoint, key: Secret?) async throws(ControlFailure) -> ChatAnswer {
        guard open.add(1, ordering: .relaxed).newValue <= Self.most else {
            open.subtract(1, ordering: .relaxed)
            throw .refused("\(Self.most) chats are being tried already: wait for one of them to end")
        }
        let request = HTTPProbe(
            endpoint: endpoint, apiKey: key, method: "POST", path: "/v1/chat/completions", body: body,
            timeout: Self.longest)
        // The gateway is our own, by a socket that we hold: its certificate need not be shown to ourselves.
        let stream = CurlStream(request, trustsPeer: true) { [self] in open.subtract(1, ordering: .relaxed) }
        do {
            let head = try await stream.head()
            guard head.status != 401, head.status != 403 else {
                throw ControlFailure.failed("the gateway refused the daemon's own key: see its log")
            }
            return ChatAnswer(
                status: head.status, contentType: head.headers["content-type"],
                instance: head.headers["x-stoker-instance"], body: stream.body)
        } catch let failure as ControlFailure {
            throw failure
        } catch {
            throw .failed("the gateway does not answer: \(error)")
        }
    }
}
