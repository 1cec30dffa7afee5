import Fleet
import Logging

/// Forwards engines' output to the daemon's log, with the instance and the run that it came from.
struct EngineOutput: LogSink {
    let logger: Logger

    func line(_ text: String, of run: InstanceRun) {
        logger.info("\(text)", metadata: ["instance": "\(run.instance)", "run": "\(run.run)", "event": "output"])
    }
}
