import CLinux
import Fleet
import Glibc

/// An address as connect(2) takes it.
enum SocketAddress {
    /// The `sockaddr`'s bytes; empty when the address is not numeric or the path too long.
    static func bytes(of address: Endpoint.Address) -> [UInt8] {
        switch address {
        case .unix(let path): return unix(path)
        case .tcp(let ip, let port):
            var storage = [UInt8](repeating: 0, count: 128)
            let length = storage.withUnsafeMutableBytes { stoker_numeric_address(ip, port, $0.baseAddress) }
            return Array(storage.prefix(Int(length)))
        }
    }

    private static func unix(_ path: String) -> [UInt8] {
        let text = Array(path.utf8)
        guard !text.isEmpty, text.count <= 107, !text.contains(0) else { return [] }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        return withUnsafeBytes(of: &address) { raw in
            var bytes = Array(raw)
            let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
            for (index, byte) in text.enumerated() { bytes[offset + index] = byte }
            return bytes
        }
    }

    /// The family of an address made here.
    static func family(of bytes: ByteView) -> Int32 {
        Int32(UnsafeRawPointer(bytes.base).loadUnaligned(as: sa_family_t.self))
    }
}
