import Fleet
import Glibc

/// The folder of an instance's logs: one file a run, `<logs>/<instance>/<run>.log`, the newest few kept.
public struct RunLogs: Sendable {
    /// How many runs' logs are kept, the present one among them.
    public static let keptRuns = 6

    /// The folder of all instances' logs.
    public let folder: String

    /// The logs below a folder.
    public init(folder: String) { self.folder = folder }

    /// The log of a run.
    public func path(_ run: InstanceRun) -> String { "\(folder)/\(run.instance)/\(run.run).log" }

    /// Where the evidence about a run's end is kept.
    func evidencePath(_ run: InstanceRun) -> String { "\(folder)/\(run.instance)/\(run.run).evidence" }

    /// The runs of which there is a log, the newest first.
    public func runs(of instance: String) -> [UInt64] {
        SystemFile.names(in: "\(folder)/\(instance)").filter { $0.hasSuffix(".log") }
            .compactMap { UInt64($0.dropLast(4)) }.sorted(by: >)
    }

    /// The log of the newest run, or of the one before it.
    public func latest(of instance: String, previous: Bool) -> String? {
        let runs = runs(of: instance)
        let index = previous ? 1 : 0
        return runs.count > index ? path(InstanceRun(instance: instance, run: runs[index])) : nil
    }

    /// Makes the folder and removes logs of runs too old; a sentence where the folder cannot be made.
    func prepare(_ run: InstanceRun) -> String? {
        if let problem = SystemFile.makeFolder("\(folder)/\(run.instance)") { return problem }
        for old in runs(of: run.instance).dropFirst(Self.keptRuns - 1) where old != run.run {
            let gone = InstanceRun(instance: run.instance, run: old)
            unlink(path(gone))
            unlink(evidencePath(gone))
        }
        return nil
    }
}
