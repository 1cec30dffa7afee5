import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite struct ListeningSocketTests {
    @Test func portZeroTellsWhichPortWasBound() throws {
        let socket = try ListeningSocket(.tcp(host: "127.0.0.1", port: 0))
        defer { close(socket.descriptor) }
        guard case .tcp(_, let port) = socket.address else {
            Issue.record("not a TCP address: \(socket.address)")
            return
        }
        #expect(port != 0)
    }

    @Test func aTakenPortSaysWhatToDo() throws {
        let first = try ListeningSocket(.tcp(host: "127.0.0.1", port: 0))
        defer { close(first.descriptor) }
        let failure = #expect(throws: ListeningSocket.Failure.self) { try ListeningSocket(first.address) }
        #expect(failure?.description.contains("another process listens there") == true)
    }

    @Test func aSocketFileThatNobodyAnswersOnIsReplaced() throws {
        let path = "/tmp/stoker-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
        defer { unlink(path) }
        let first = try ListeningSocket(.unix(path: path))
        #expect(throws: ListeningSocket.Failure.self) { try ListeningSocket(.unix(path: path)) }
        close(first.descriptor)
        let second = try ListeningSocket(.unix(path: path))
        close(second.descriptor)
    }

    @Test func aPathThatIsTooLongIsRefused() {
        #expect(throws: ListeningSocket.Failure.self) {
            try ListeningSocket(.unix(path: "/tmp/" + String(repeating: "x", count: 110)))
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
