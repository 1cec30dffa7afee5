import Fleet
import Logging

/// Stopping: everything drains and ends, in parallel.
extension Daemon {
    func stop(because signal: String) async {
        isStopping = true
        StopMark(state.directories).set()
        logger.notice("stopping", metadata: ["signal": "\(signal)", "instances": "\(owners.count)"])
        notify(reporter.stopping("stopping \(owners.count) instances", at: .now()))
        await withTaskGroup { group in
            for replacer in replacers.values {
                group.addTask {
                    replacer.cancel("the daemon ends")
                    _ = await replacer.outcome()
                }
            }
            for owner in owners.values { group.addTask { await owner.shutdown() } }
            var left = owners.count + replacers.count
            for await _ in group {
                left -= 1
                notify(reporter.stopProgress("stopping: \(left) instances left"))
            }
        }
        await keeper.end(grace: .seconds(2))
    }

    func hurry() async {
        logger.notice("hurrying: what is in flight is cut", metadata: [:])
        for replacer in replacers.values { await replacer.hurry() }
        for owner in owners.values { await owner.hurry() }
    }
}
