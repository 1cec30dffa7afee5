import COpenSSL
import Foundation
import Glibc

@testable import Gateway

/// A blocking client's connection by TLS.
final class TLSPeer {
    private let peer: Peer
    private let context: UnsafeMutableRawPointer
    private let tls: UnsafeMutableRawPointer
    private var buffer: [UInt8] = []

    /// Connects and believes only what this file of roots says.
    init?(_ port: UInt16, name: String, roots: String, receiveBuffer: Int32 = 0) {
        var why = [CChar](repeating: 0, count: 200)
        guard let context = stoker_tls_client_context(roots, &why, why.count) else { return nil }
        let peer = Peer.connect(port, receiveBuffer: receiveBuffer)
        guard let tls = stoker_tls_connect(context, peer.descriptor, name, nil) else { return nil }
        self.peer = peer
        self.context = context
        self.tls = tls
    }

    deinit {
        stoker_tls_finish(tls)
        stoker_tls_free(tls)
        stoker_tls_context_free(context)
    }

    @discardableResult func write(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return stoker_tls_write(tls, bytes, bytes.count) == bytes.count
    }

    /// What the server's certificate failed by; nil when it is believed.
    func disbelief() -> String? {
        var why = [CChar](repeating: 0, count: 200)
        guard stoker_tls_disbelief(tls, &why, why.count) != 0 else { return nil }
        return why.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// Everything until so many bytes have come, or the other side ends.
    func read(count: Int) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while buffer.count < count {
            let got = stoker_tls_read(tls, &chunk, chunk.count)
            if got <= 0 { break }
            buffer += chunk[0..<got]
        }
        let bytes = Array(buffer.prefix(count))
        buffer.removeFirst(bytes.count)
        return bytes
    }

    /// A head, and its body by Content-Length.
    func readMessage() -> Message? {
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual([13, 10, 13, 10]) {
            let byte = read(count: 1)
            if byte.isEmpty { return nil }
            head += byte
        }
        var message = Message(head: String(decoding: head, as: UTF8.self), body: [])
        if let length = message.field("content-length").flatMap({ Int($0) }) { message.body = read(count: length) }
        return message
    }
}

/// A scripted server behind TLS: what it is asked is answered by `answer`.
final class TLSUpstream: @unchecked Sendable {
    let stub: UpstreamStub
    var port: UInt16 { stub.port }

    init(certificate: String, key: String, answer: @escaping @Sendable (Message) -> String) {
        var why = [CChar](repeating: 0, count: 200)
        let context = UInt(bitPattern: stoker_tls_server_context(certificate, key, &why, why.count))
        stub = UpstreamStub { peer, _ in
            guard let context = UnsafeMutableRawPointer(bitPattern: context),
                let tls = stoker_tls_accept(context, peer.descriptor)
            else { return }
            defer { stoker_tls_free(tls) }
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let got = stoker_tls_read(tls, &chunk, chunk.count)
                if got <= 0 { return }
                bytes += chunk[0..<got]
                let text = String(decoding: bytes, as: UTF8.self)
                guard let end = text.range(of: "\r\n\r\n") else { continue }
                var message = Message(head: String(text[..<end.upperBound]), body: [])
                let length = message.field("content-length").flatMap { Int($0) } ?? 0
                guard bytes.count >= message.head.utf8.count + length else { continue }
                message.body = Array(bytes.dropFirst(message.head.utf8.count).prefix(length))
                bytes.removeFirst(message.head.utf8.count + length)
                let reply = Array(answer(message).utf8)
                guard stoker_tls_write(tls, reply, reply.count) == reply.count else { return }
            }
        }
    }
}
