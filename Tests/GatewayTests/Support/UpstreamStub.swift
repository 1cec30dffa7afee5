import CLinux
import Foundation
import Glibc

/// A scripted server: each connection runs the script on a thread of its own.
final class UpstreamStub: @unchecked Sendable {
    let port: UInt16
    private let descriptor: Int32
    private let condition = NSCondition()
    private var counted = 0

    init(port: UInt16 = 0, _ script: @escaping @Sendable (Peer, Int) -> Void) {
        let (descriptor, port) = listenOnLoopback(isBlocking: true, port: port)
        self.descriptor = descriptor
        self.port = port
        Thread.detachNewThread { [self] in
            while true {
                let accepted = accept(descriptor, nil, nil)
                if accepted < 0 { return }
                condition.lock()
                counted += 1
                let number = counted
                condition.broadcast()
                condition.unlock()
                Thread.detachNewThread {
                    let peer = Peer(accepted)
                    script(peer, number)
                    peer.close()
                }
            }
        }
    }

    deinit { stop() }

    var connections: Int {
        condition.lock()
        defer { condition.unlock() }
        return counted
    }

    func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Answers each request with its own body and head, until the client leaves.
    static func echo(port: UInt16 = 0) -> UpstreamStub {
        UpstreamStub(port: port) { peer, _ in
            while let request = peer.readMessage() {
                let body = request.head + "|" + request.text
                peer.write(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: uvicorn\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                )
            }
        }
    }
}

/// A listening socket on a free port, or on a given one.
func listenOnLoopback(isBlocking: Bool, port: UInt16 = 0) -> (Int32, UInt16) {
    let kind = Int32(SOCK_STREAM.rawValue) | (isBlocking ? 0 : Int32(SOCK_NONBLOCK.rawValue))
    let descriptor = socket(AF_INET, kind, 0)
    var address = [UInt8](repeating: 0, count: 128)
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    let length = address.withUnsafeMutableBytes { stoker_numeric_address("127.0.0.1", port, $0.baseAddress) }
    let status = address.withUnsafeBytes {
        bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
    }
    precondition(status == 0)
    listen(descriptor, 512)
    var bound = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &bound) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(descriptor, $0, &size) }
    }
    return (descriptor, UInt16(bigEndian: bound.sin_port))
}

/// One chunk of chunked coding.
func chunk(_ payload: String) -> String { String(payload.utf8.count, radix: 16) + "\r\n" + payload + "\r\n" }

let streamHead =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
let roleEvent =
    #"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#
    + "\n\n"

func tokenEvent(_ text: String) -> String {
    #"data: {"choices":[{"index":0,"delta":{"content":"\#(text)"},"finish_reason":null}]}"# + "\n\n"
}
