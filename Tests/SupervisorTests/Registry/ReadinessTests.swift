import Fleet
import Testing

@testable import Supervisor

@Suite struct ReadinessTests {
    typealias Row = (
        readyWhen: Configuration.ReadyWhen, states: [InstanceState], settled: [Bool], listening: Bool, isReady: Bool,
        isHopeless: Bool
    )

    static let rows: [Row] = [
        (.any, [.ready, .loading], [false, false], true, true, false),
        (.any, [.loading, .loading], [false, false], true, false, false),
        (.any, [.ready], [false], false, false, false),
        (.all, [.ready, .loading], [false, false], true, false, false),
        (.all, [.ready, .ready], [false, false], true, true, false),
        (.all, [.ready, .failed], [false, true], true, false, true),
        (.any, [.failed, .stopped], [true, true], true, false, true),
        (.any, [.connecting], [false], true, false, false),
        (.any, [.connecting], [true], true, false, true),
        (.any, [], [], true, false, true),
        (.listening, [], [], true, true, false),
        (.listening, [.loading], [false], true, true, false),
        (.listening, [.loading], [false], false, false, false),
    ]

    @Test(arguments: rows.indices)
    func table(_ index: Int) {
        let row = Self.rows[index]
        let records = zip(row.states, row.settled).enumerated().map { number, pair in
            RegistryReductionTests.record(
                pair.0, published: pair.0 == .ready, instance: "chat-\(number)", settled: pair.1)
        }
        let readiness = Readiness(
            readyWhen: row.readyWhen, records: records, expected: records.count, isGatewayListening: row.listening)
        #expect(readiness.isReady == row.isReady)
        #expect(readiness.isHopeless == row.isHopeless)
    }

    @Test func theSentence() {
        let records = [
            RegistryReductionTests.record(.ready, published: true),
            RegistryReductionTests.record(.loading, published: false, instance: "chat-1", percent: 43),
        ]
        let readiness = Readiness(readyWhen: .any, records: records, expected: 2, isGatewayListening: true)
        #expect(readiness.reason == "1/2 instances ready; chat-1 loading, 43 %")
    }
}
