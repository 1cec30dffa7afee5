import Fleet
import Testing

@testable import Supervisor

@Suite struct GatewayPulseTests {
    static func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64((1000 + seconds) * 1e9)) }

    /// Asks every second from `first` to `last`; the second at which it was called stuck, if ever.
    static func firstStuck(
        _ pulse: inout GatewayPulse, from first: Int, to last: Int, pid: Int32 = 7, heartbeats: (Int) -> [Instant]
    ) -> Int? {
        (first...last).first { pulse.isStuck(pid: pid, heartbeats: heartbeats($0), at: at(Double($0))) }
    }

    @Test func aLoopThatTurnsIsLeftAlone() {
        var pulse = GatewayPulse(at: Self.at(0))
        #expect(Self.firstStuck(&pulse, from: 0, to: 60) { [Self.at(Double($0) - 1), Self.at(Double($0))] } == nil)
    }

    @Test func oneSilentLoopOfTwoIsEnough() {
        var pulse = GatewayPulse(at: Self.at(0))
        #expect(Self.firstStuck(&pulse, from: 0, to: 60) { [Self.at(Double($0)), Self.at(10)] } == 16)
    }

    @Test func aGatewayThatHasJustStartedHasTime() {
        var pulse = GatewayPulse(at: Self.at(0))
        #expect(Self.firstStuck(&pulse, from: 0, to: 5) { _ in [Instant(nanoseconds: 0)] } == nil)
        #expect(Self.firstStuck(&pulse, from: 6, to: 6) { _ in [Instant(nanoseconds: 0)] } == 6)
        #expect(Self.firstStuck(&pulse, from: 7, to: 12, pid: 8) { _ in [Instant(nanoseconds: 0)] } == nil)
    }

    @Test func ourOwnSleepIsNotTheGateways() {
        var pulse = GatewayPulse(at: Self.at(0))
        #expect(Self.firstStuck(&pulse, from: 0, to: 3) { [Self.at(Double($0))] } == nil)
        let afterSleep = pulse.isStuck(pid: 7, heartbeats: [Self.at(3)], at: Self.at(60))
        #expect(!afterSleep)
        #expect(Self.firstStuck(&pulse, from: 61, to: 80) { [Self.at(Double($0))] } == nil)
    }

    @Test func withoutAGatewayNothingIsStuck() {
        var pulse = GatewayPulse(at: Self.at(0))
        let answers = (0...30).map { pulse.isStuck(pid: nil, heartbeats: [], at: Self.at(Double($0))) }
        #expect(!answers.contains(true))
    }
}
