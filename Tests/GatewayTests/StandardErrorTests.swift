import Glibc
import Testing

@testable import Gateway

@Suite("Standard error that nobody reads")
struct StandardErrorTests {
    @Test("a full pipe holds nobody up; what fits comes whole and in order")
    func fullPipe() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let line = [UInt8](repeating: 0x61, count: 1023) + [0x0a]
        let lines = [[UInt8]](repeating: line, count: 8).flatMap { $0 }
        // Twice as much as a pipe takes; this would never come back.
        for _ in 0..<16 { StandardError.write(lines, to: ends[1]) }
        var taken: [UInt8] = []
        var poller = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while poll(&poller, 1, 0) == 1 {
            let count = read(ends[0], &piece, piece.count)
            if count <= 0 { break }
            taken += piece[0..<count]
        }
        #expect(taken.count >= 32 << 10 && taken.count <= 64 << 10)
        #expect(taken.prefix(1024) == line[...])
        StandardError.write(line, to: ends[1])
        #expect(poll(&poller, 1, 0) == 1, "there is room again")
    }
}
