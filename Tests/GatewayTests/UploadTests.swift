import Fleet
import Foundation
import Glibc
import Testing

@testable import Gateway

/// Multipart bodies: found in pieces, passed on without being kept.
@Suite(.serialized) struct UploadTests {
    private static let boundary = "XX-boundary"

    private static func part(_ name: String, _ value: String) -> String {
        "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
    }

    private static func scan(_ body: String, pieces: Int) -> (place: (start: Int, end: Int)?, value: String) {
        var scanner = MultipartScanner("model", boundary: Array(boundary.utf8))
        let bytes = Array(body.utf8)
        var at = 0
        while at < bytes.count {
            let end = min(bytes.count, at + pieces)
            if withView(Array(bytes[at..<end]), { scanner.feed($0) }) { break }
            at = end
        }
        return (scanner.place, String(decoding: scanner.value, as: UTF8.self))
    }

    @Test func findsTheFieldHoweverTheBytesCome() throws {
        let file = Self.part("file", String(repeating: "\r\n--XX-bound \r\n\r\n--", count: 2000))
        for before in ["", "preamble\r\n", Self.part("a", "1"), file] {
            let body = before + Self.part("model", "a/m") + Self.part("file", "x") + "--\(Self.boundary)--\r\n"
            for pieces in [1, 2, 7, 64, 4096, body.utf8.count] {
                let found = Self.scan(body, pieces: pieces)
                #expect(found.value == "a/m")
                let place = try #require(found.place)
                #expect(Array(body.utf8)[place.start..<place.end].elementsEqual("a/m".utf8))
            }
        }
        #expect(Self.scan(Self.part("model", "") + "--\(Self.boundary)--", pieces: 3).place != nil)
        for hopeless in [
            Self.part("other", "m") + "--\(Self.boundary)--\r\n", "nothing", "--\(Self.boundary)",
            "--\(Self.boundary)zz\r\n\r\nmodel",
            Self.part("model", String(repeating: "m", count: 40_000)), "",
        ] {
            #expect(Self.scan(hopeless, pieces: 5).place == nil)
        }
    }

    private static func head(_ length: Int, _ fields: String = "") -> String {
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer mk\r\n\(fields)"
            + "Content-Type: multipart/form-data; boundary=\(boundary)\r\nContent-Length: \(length)\r\n\r\n"
    }

    /// A server that answers with its body's length and a sum over its bytes.
    private static func summing() -> UpstreamStub {
        UpstreamStub { peer, _ in
            while let head = peer.read(until: "\r\n\r\n") {
                let length = Int(Message(head: head, body: []).field("content-length") ?? "") ?? 0
                guard let sum = peer.digest(length) else { return }
                let body = "\(length) \(sum)"
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
    }

    private static func digest(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 &* 31 &+ UInt64($1) }
    }

    @Test(arguments: [true, false])
    func theWholeBodyPassesWithItsModelReplaced(isModelFirst: Bool) throws {
        let upstream = Self.summing()
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let audio = Self.part("file", String(repeating: "0123456789abcde\n", count: 60_000))
        func body(_ model: String) -> String {
            let field = Self.part("model", model)
            return (isModelFirst ? field + audio : audio + field) + "--\(Self.boundary)--\r\n"
        }
        for (sent, received) in [("a/m", "m"), ("m", "m")] {
            let client = gateway.client()
            let expected = body(received)
            for _ in 0..<2 {
                client.write(Self.head(body(sent).utf8.count) + body(sent))
                let reply = try #require(client.readMessage())
                #expect(reply.status == 200)
                #expect(reply.text == "\(expected.utf8.count) \(Self.digest(expected.utf8))")
            }
        }
    }

    @Test func memoryStaysFlat() throws {
        let upstream = UpstreamStub { peer, _ in
            guard let head = peer.read(until: "\r\n\r\n") else { return }
            let length = Int(Message(head: head, body: []).field("content-length") ?? "") ?? 0
            guard peer.skip(length - 5) != nil else { return }
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        }
        let gateway = RunningGateway(
            fleet(settings: { $0.bodyBytes = 200 << 20 }, [("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let piece = [UInt8](repeating: 0x61, count: 1 << 20)
        for isModelFirst in [true, false] {
            let field = Self.part("model", "m")
            // A line's end is one character.
            let opening = Self.part("file", "").dropLast(1)
            let ending = "\r\n" + (isModelFirst ? "" : field) + "--\(Self.boundary)--\r\n"
            let length =
                (isModelFirst ? field.utf8.count : 0) + opening.utf8.count + 100 * piece.count + ending.utf8.count
            let before = Self.residentKiB()
            let client = gateway.client()
            client.write(Self.head(length) + (isModelFirst ? field : "") + opening)
            var most = 0
            for _ in 0..<100 {
                let isTaken = client.write(piece)
                #expect(isTaken)
                if !isTaken { break }
                most = max(most, Self.residentKiB())
            }
            client.write(ending)
            #expect(client.readMessage()?.status == 200)
            #expect(most - before < 24 << 10, "\(most - before) KiB more")
        }
    }

    private static func residentKiB() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }

    @Test func whatCannotBeServedIsRefusedEarly() throws {
        let gateway = RunningGateway(fleet([]))
        defer { gateway.stop() }
        for (field, status) in [(Self.part("model", "nobody/m"), 404), (Self.part("other", "x"), 400)] {
            let client = gateway.client()
            let ending = "--\(Self.boundary)--\r\n"
            let filler = Self.part("file", String(repeating: "x", count: 100_000))
            let all = field + filler + ending
            client.write(Self.head(all.utf8.count) + all)
            let reply = try #require(client.readMessage())
            #expect(reply.status == status)
            #expect(reply.field("connection") == "close")
        }
    }

    @Test func anEarlyAnswerPassesAndEndsTheConnection() throws {
        let upstream = UpstreamStub { peer, _ in
            _ = peer.read(until: "\r\n\r\n")
            peer.write("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(Self.head(10_000_000) + Self.part("model", "m") + Self.part("file", ""))
        let reply = try #require(client.readMessage())
        #expect(reply.status == 413)
        #expect(reply.text == "big")
        #expect(reply.field("connection") == "close")
    }

    @Test func aServerThatIsLostInAnUploadIsNotTriedAgain() throws {
        let asked = LockedCount()
        let upstream = UpstreamStub { peer, _ in
            _ = peer.read(until: "\r\n\r\n")
            asked.add(1)
            _ = peer.read(count: 100_000)
            peer.reset()
        }
        let gateway = RunningGateway(
            fleet([("a", [instance("a-0", upstream.port, ["m"]), instance("a-1", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(Self.head(20_000_000) + Self.part("model", "m") + Self.part("file", ""))
        Thread.detachNewThread {
            let piece = [UInt8](repeating: 0x61, count: 100_000)
            while client.write(piece) {}
        }
        let reply = try #require(client.readMessage())
        #expect(reply.status == 502)
        #expect(asked.value == 1)
    }
}
