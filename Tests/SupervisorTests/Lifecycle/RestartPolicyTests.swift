import Fleet
import Testing

@testable import Supervisor

@Suite("Back-off and budgets")
struct RestartPolicyTests {
    private func pauses(_ policy: inout RestartPolicy, _ count: Int, readyFor: Duration = .zero) -> [Duration] {
        (0..<count).compactMap { number in
            let now = Instant(nanoseconds: UInt64(number) * 3_600_000_000_000)
            guard case .again(let pause) = policy.crashed(readyFor: readyFor, at: now) else { return nil }
            return pause
        }
    }

    @Test("pauses double from the shortest to the longest, jittered down by at most half")
    func doubling() {
        var policy = RestartPolicy(RestartConfiguration(), seed: 1)
        let expected: [Duration] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map { .seconds($0) }
        for (pause, whole) in zip(pauses(&policy, 11), expected) {
            #expect(pause <= whole)
            #expect(pause >= whole / 2)
        }
    }

    @Test("the same seed gives the same pauses, another one others")
    func seeds() {
        var one = RestartPolicy(RestartConfiguration(), seed: 1)
        var same = RestartPolicy(RestartConfiguration(), seed: 1)
        var other = RestartPolicy(RestartConfiguration(), seed: 2)
        let first = pauses(&one, 6)
        #expect(first == pauses(&same, 6))
        #expect(first != pauses(&other, 6))
    }

    @Test("a stable time pays the pauses back")
    func stable() {
        var policy = RestartPolicy(RestartConfiguration(), seed: 1)
        _ = pauses(&policy, 8)
        // The last pause was up to 128 s: stable is twice that.
        #expect(pauses(&policy, 1, readyFor: .seconds(200))[0] > .seconds(100))
        #expect(pauses(&policy, 1, readyFor: .seconds(1000))[0] <= .seconds(1))
    }
}
