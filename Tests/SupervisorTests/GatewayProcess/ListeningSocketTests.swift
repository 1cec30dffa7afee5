import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite struct ListeningSocketTests {
    static func listening(_ address: ListenAddress) throws -> ListeningSocket {
        let socket = try ListeningSocket.bind(address, setting: "listen", access: .everyone)
        try socket.listen(setting: "listen")
        return socket
    }

    @Test func portZeroTellsWhichPortWasBound() throws {
        let socket = try Self.listening(.tcp(host: "127.0.0.1", port: 0))
        defer { close(socket.descriptor) }
        guard case .tcp(_, let port) = socket.address else {
            Issue.record("not a TCP address: \(socket.address)")
            return
        }
        #expect(port != 0)
    }

    @Test func aTakenPortSaysWhatToDo() throws {
        let first = try Self.listening(.tcp(host: "127.0.0.1", port: 0))
        defer { close(first.descriptor) }
        let failure = #expect(throws: ListeningSocket.Failure.self) { try Self.listening(first.address) }
        #expect(failure?.description.contains("is taken by another process") == true)
    }

    @Test func aSocketFileThatNobodyAnswersOnIsReplaced() throws {
        let path = "/tmp/stoker-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
        defer { unlink(path) }
        let first = try Self.listening(.unix(path: path))
        #expect(throws: ListeningSocket.Failure.self) { try Self.listening(.unix(path: path)) }
        close(first.descriptor)
        let second = try Self.listening(.unix(path: path))
        close(second.descriptor)
    }

    @Test func aPathThatIsTooLongIsRefused() {
        #expect(throws: ListeningSocket.Failure.self) {
            try Self.listening(.unix(path: "/tmp/" + String(repeating: "x", count: 110)))
        }
    }

    @Test func gatewaysThatDieYoungAreStartedEverLater() {
        var backoff = GatewayBackoff()
        let pauses = (0..<9).map { _ in backoff.pause(afterLiving: .milliseconds(10)) }
        #expect(pauses.first == .zero)
        #expect(pauses[1] == .milliseconds(50) && pauses[2] == .milliseconds(100))
        #expect(pauses.last == .seconds(5))
        #expect(backoff.pause(afterLiving: .seconds(11)) == .zero)
    }
}
