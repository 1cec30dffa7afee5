import Dispatch
import Fleet
import Synchronization
import Testing

@testable import Supervisor

@Suite("The log never makes anybody wait")
struct LogPumpTests {
    @Test("whoever logs goes on while nobody takes it; what there is no room for is counted, and said later")
    func stalled() {
        let gate = DispatchSemaphore(value: 0)
        let written = Mutex<[[UInt8]]>([])
        let pump = LogPump(
            room: 100, excuse: { .line(Array("\($0) left out".utf8)) },
            write: { entry in
                gate.wait()
                if case .line(let bytes) = entry { written.withLock { $0.append(bytes) } }
            })
        for number in 0..<30 { pump.add(.line(Array("line \(number % 10).\n".utf8))) }
        pump.flush(within: .milliseconds(20))
        #expect(written.withLock { $0.isEmpty }, "it was never waited for")
        for _ in 0..<100 { gate.signal() }
        pump.flush(within: .seconds(20))
        let lines = written.withLock { $0.map { String(decoding: $0, as: UTF8.self) } }
        // A line has eight bytes: twelve fit.
        #expect(lines.count == 13 && lines.last == "18 left out")
        #expect(Array(lines.prefix(12)) == (0..<12).map { "line \($0 % 10).\n" })
    }

    @Test("everything comes out in its order, from several threads")
    func order() {
        let written = Mutex<[[UInt8]]>([])
        let pump = LogPump(
            excuse: { _ in .line([]) },
            write: { entry in if case .line(let bytes) = entry { written.withLock { $0.append(bytes) } } })
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            for number in 0..<500 { pump.add(.line([UInt8(thread), UInt8(number % 250)])) }
        }
        pump.flush(within: .seconds(20))
        let all = written.withLock { $0 }
        #expect(all.count == 2000)
        for thread in UInt8(0)..<4 {
            #expect(all.filter { $0[0] == thread }.map { Int($0[1]) } == (0..<500).map { $0 % 250 })
        }
    }
}
