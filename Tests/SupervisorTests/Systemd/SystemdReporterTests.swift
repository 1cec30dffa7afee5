import Fleet
import Testing

@testable import Supervisor

@Suite struct SystemdReporterTests {
    static func readiness(_ isReady: Bool, hopeless: Bool = false, _ reason: String) -> Readiness {
        var value = Readiness(readyWhen: .any, records: [], expected: 1, isGatewayListening: true)
        value.isReady = isReady
        value.isHopeless = hopeless
        value.reason = reason
        return value
    }

    static func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }

    @Test func readyIsSaidOnce() {
        var reporter = SystemdReporter(watchdog: nil, at: Self.at(0))
        #expect(reporter.readiness(Self.readiness(false, "0/1"), isMoving: true, at: Self.at(0)) == ["STATUS=0/1"])
        #expect(
            reporter.readiness(Self.readiness(true, "1/1"), isMoving: false, at: Self.at(1)) == [
                "READY=1", "STATUS=1/1",
            ])
        #expect(reporter.readiness(Self.readiness(true, "1/1"), isMoving: false, at: Self.at(2)) == [])
        #expect(reporter.readiness(Self.readiness(false, "0/1"), isMoving: true, at: Self.at(3)) == ["STATUS=0/1"])
        #expect(reporter.readiness(Self.readiness(true, "1/1"), isMoving: true, at: Self.at(4)) == ["STATUS=1/1"])
    }

    @Test func aNoticeIsPartOfTheStatusWhileItHolds() {
        var reporter = SystemdReporter(watchdog: nil, at: Self.at(0))
        reporter.notice = "the configuration file is invalid"
        #expect(
            reporter.readiness(Self.readiness(true, "1/1"), isMoving: false, at: Self.at(1)) == [
                "READY=1", "STATUS=1/1; the configuration file is invalid",
            ])
        reporter.notice = nil
        #expect(reporter.readiness(Self.readiness(true, "1/1"), isMoving: false, at: Self.at(2)) == ["STATUS=1/1"])
    }

    @Test func whatCannotGetReadyIsDegraded() {
        var reporter = SystemdReporter(watchdog: nil, at: Self.at(0))
        let messages = reporter.readiness(
            Self.readiness(false, hopeless: true, "0/1 instances ready"), isMoving: false, at: Self.at(0))
        #expect(messages == ["READY=1", "STATUS=degraded: 0/1 instances ready"])
    }

    @Test func theStartTimeoutIsExtendedOnlyWhileSomethingMoves() {
        var reporter = SystemdReporter(watchdog: nil, at: Self.at(0))
        _ = reporter.readiness(Self.readiness(false, "x"), isMoving: true, at: Self.at(0))
        #expect(reporter.tick(isTurning: true, at: Self.at(0)) == ["EXTEND_TIMEOUT_USEC=30000000"])
        #expect(reporter.tick(isTurning: true, at: Self.at(5)) == [])
        #expect(reporter.tick(isTurning: true, at: Self.at(10)) == ["EXTEND_TIMEOUT_USEC=30000000"])
        _ = reporter.readiness(Self.readiness(false, "x"), isMoving: false, at: Self.at(11))
        #expect(reporter.tick(isTurning: true, at: Self.at(30)) == [])
        _ = reporter.readiness(Self.readiness(true, "x"), isMoving: true, at: Self.at(31))
        #expect(reporter.tick(isTurning: true, at: Self.at(60)) == [])
    }

    @Test func stoppingExtendsItsTimeToo() {
        var reporter = SystemdReporter(watchdog: nil, at: Self.at(0))
        _ = reporter.readiness(Self.readiness(true, "1/1"), isMoving: false, at: Self.at(0))
        #expect(
            reporter.stopping("stopping", at: Self.at(1)) == [
                "STOPPING=1", "STATUS=stopping", "EXTEND_TIMEOUT_USEC=30000000",
            ])
        #expect(reporter.tick(isTurning: true, at: Self.at(12)) == ["EXTEND_TIMEOUT_USEC=30000000"])
        #expect(reporter.readiness(Self.readiness(true, "late"), isMoving: false, at: Self.at(13)) == [])
    }

    @Test func theWatchdogIsFedOnlyWhileEverythingTurns() {
        var reporter = SystemdReporter(watchdog: .seconds(30), at: Self.at(0))
        _ = reporter.readiness(Self.readiness(true, "1/1"), isMoving: false, at: Self.at(0))
        #expect(reporter.tick(isTurning: true, at: Self.at(0)) == ["WATCHDOG=1"])
        #expect(reporter.tick(isTurning: true, at: Self.at(5)) == [])
        #expect(reporter.tick(isTurning: false, at: Self.at(20)) == [])
        #expect(reporter.tick(isTurning: true, at: Self.at(21)) == ["WATCHDOG=1"])
    }
}
