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

    private static let chunkedHead =
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer mk\r\nTransfer-Encoding: chunked\r\n"
        + "Content-Type: multipart/form-data; boundary=\(boundary)\r\n\r\n"

    /// A body in chunks of odd sizes, with an extension and a trailer.
    private static func chunked(_ body: String, _ sizes: [Int] = [1, 7, 20_000, 3, 65_536, 100_000]) -> String {
        let bytes = Array(body.utf8)
        var out = ""
        var at = 0
        var turn = 0
        while at < bytes.count {
            let end = min(bytes.count, at + sizes[turn % sizes.count])
            let size = String(end - at, radix: 16)
            out += "\(size);x=y\r\n" + String(decoding: bytes[at..<end], as: UTF8.self) + "\r\n"
            at = end
            turn += 1
        }
        return out + "0\r\nX-Trailer: dropped\r\n\r\n"
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

    /// Of a chunked body the length is not known: it reaches the server as one with a length where it was all there, and
    /// in chunks else.
    @Test(arguments: [true, false])
    func chunkedBodiesPassToo(isModelFirst: Bool) throws {
        let upstream = UpstreamStub { peer, _ in
            while let request = peer.readMessage() {
                let body = "\(request.body.count) \(Self.digest(request.body))"
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
        let gateway = RunningGateway(
            fleet([("a", [instance("a-0", upstream.port, ["m"]), instance("a-1", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        for length in [0, 100, 1_000_000] {
            func body(_ model: String) -> String {
                let field = Self.part("model", model)
                let audio = Self.part("file", String(repeating: "0123456789abcde\n", count: length / 16))
                return (isModelFirst ? field + audio : audio + field) + "--\(Self.boundary)--\r\n"
            }
            for (sent, received) in [("a/m", "m"), ("m", "m")] {
                let client = gateway.client()
                let sum = "\(body(received).utf8.count) \(Self.digest(body(received).utf8))"
                // What follows at once is the next request.
                client.write(Self.chunkedHead + Self.chunked(body(sent)) + get("/health"))
                let reply = try #require(client.readMessage())
                #expect(reply.text.hasSuffix(sum), "\(length) \(sent)")
                #expect(client.readMessage()?.text == #"{"status":"ok"}"#)
                // Slowly, the model is known long before the end.
                let slow = gateway.client()
                slow.write(Self.chunkedHead)
                let bytes = Array(Self.chunked(body(sent)).utf8)
                for start in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 50)) {
                    slow.write(Array(bytes[start..<min(bytes.count, start + max(1, bytes.count / 50))]))
                    if bytes.count < 10_000 { Thread.sleep(forTimeInterval: 0.001) }
                }
                #expect(try #require(slow.readMessage()).text.hasSuffix(sum), "\(length) \(sent), slowly")
            }
        }
    }

    @Test func chunkedBodiesHaveTheirLimitsAndRules() throws {
        let upstream = UpstreamStub { peer, _ in
            _ = peer.readMessage()
            _ = peer.waitForEnd()
        }
        let gateway = RunningGateway(
            fleet(settings: { $0.bodyBytes = 200_000 }, [("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let start = Self.part("model", "m") + Self.part("file", "").dropLast(1)
        let piece = chunk(String(repeating: "x", count: 50_000))
        for (rest, status, code) in [
            (String(repeating: piece, count: 5), 413, "request_too_large"), ("zz\r\n", 400, "invalid_request"),
        ] {
            // At once, and when the beginning is on its way to the server already.
            for isLate in [false, true] {
                let before = upstream.connections
                let client = gateway.client()
                client.write(Self.chunkedHead + chunk(start))
                let deadline = Date(timeIntervalSinceNow: 5)
                while isLate, upstream.connections == before, Date() < deadline {
                    Thread.sleep(forTimeInterval: 0.005)
                }
                client.write(rest)
                let reply = try #require(client.readMessage())
                #expect(reply.status == status)
                #expect(reply.text.contains(code))
                #expect(reply.field("connection") == "close")
            }
        }
        let client = gateway.client()
        client.write(
            Self.chunkedHead + Self.chunked(Self.part("model", "no/m") + "--\(Self.boundary)--\r\n") + get("/health"))
        #expect(client.readMessage()?.status == 404)
        #expect(client.readMessage()?.text == #"{"status":"ok"}"#)
    }

    @Test func aModelMayBeLeftOutWhereThereIsOne() throws {
        let upstream = UpstreamStub.echo()
        let one = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { one.stop() }
        let two = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m", "n"])])]))
        defer { two.stop() }
        for size in [10, 100_000] {
            let body = Self.part("file", String(repeating: "x", count: size)) + "--\(Self.boundary)--\r\n"
            for request in [Self.head(body.utf8.count) + body, Self.chunkedHead + Self.chunked(body)] {
                #expect(try #require(one.ask(request)).text.hasSuffix("|" + body))
                let refused = try #require(two.ask(request))
                #expect(refused.status == 400)
                #expect(refused.text.contains(#""param":"model""#))
            }
        }
        let twice = Self.part("model", "m") + Self.part("model", "m") + "--\(Self.boundary)--\r\n"
        #expect(one.ask(Self.head(twice.utf8.count) + twice)?.status == 400)
    }

    @Test(arguments: [true, false]) func memoryStaysFlat(isChunked: Bool) throws {
        let upstream = UpstreamStub { peer, _ in
            guard let head = peer.read(until: "\r\n\r\n") else { return }
            if let length = Int(Message(head: head, body: []).field("content-length") ?? "") {
                guard peer.skip(length - 5) != nil else { return }
            } else {
                // Chunks of 64 KiB or so: their frames are a part of a thousandth.
                guard peer.skip(100 << 20) != nil, peer.read(until: "\r\n0\r\n\r\n") != nil else { return }
            }
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
            let frame = Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [0x0d, 0x0a]
            let start = (isModelFirst ? field : "") + opening
            client.write(isChunked ? Self.chunkedHead + chunk(start) : Self.head(length) + start)
            var most = 0
            for _ in 0..<100 {
                let isTaken = client.write(isChunked ? frame : piece)
                #expect(isTaken)
                if !isTaken { break }
                most = max(most, Self.residentKiB())
            }
            client.write(isChunked ? chunk(ending) + "0\r\n\r\n" : ending)
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
