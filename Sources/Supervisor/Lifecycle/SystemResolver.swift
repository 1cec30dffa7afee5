import CLinux
import Dispatch
import Fleet
import Glibc

/// getaddrinfo, which may block for as long as a name server is silent: on threads of its own, never on an actor's.
public struct SystemResolver: Resolver {
    private let queue = DispatchQueue(label: "stoker.resolver", attributes: .concurrent)

    /// The system's resolver.
    public init() {}

    /// Asks; the answer's order is the resolver's.
    public func resolve(host: String, port: UInt16) async -> Resolution {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: Self.ask(host, port)) }
        }
    }

    private static func ask(_ host: String, _ port: UInt16) -> Resolution {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, "\(port)", &hints, &list)
        guard code == 0 else {
            return .failure("the name \(host) cannot be resolved: \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(list) }
        var addresses: [Endpoint.Address] = []
        var next = list
        while let info = next?.pointee {
            next = info.ai_next
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            guard
                getnameinfo(info.ai_addr, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
            else { continue }
            let ip = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let address = Endpoint.Address.tcp(ip: ip, port: port)
            if !addresses.contains(address) { addresses.append(address) }
        }
        return addresses.isEmpty ? .failure("the name \(host) has no address") : .addresses(addresses)
    }
}
