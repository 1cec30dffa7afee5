import CLinux
import Fleet
import FoundationEssentials
import Glibc

/// What a new program says of itself before anything is given up for it: `stoker rehearse`, run from the file that is to
/// take over, with the configuration and the state that it would find.
///
/// It changes nothing. That it answers at all shows that the file is whole, its libraries are there, and it is Stoker.
public struct Rehearsal: Sendable {
    /// The hidden command's word.
    public static let word = "rehearse"
    /// For all of it.
    static let patience: Duration = .seconds(20)

    /// What a program answers that can take over.
    struct Report: Codable, Sendable, Hashable {
        /// ``Handover/format`` that it reads.
        var format: Int
        /// Its version.
        var version: String
        /// What it would do about the configuration.
        var plan: ReloadReport
    }

    /// Why a program cannot take over.
    struct Refusal: Error, Sendable, Hashable {
        /// A sentence, or the configuration's problems, one a line.
        var reason: String
        /// Whether the configuration is the reason, and not the program.
        var isConfiguration = false
    }

    // MARK: The new program's part

    /// Says on standard output what this program would do, or on standard error why it cannot; returns the exit code.
    public static func perform(option: String?, environment: [String: String], version: String) -> Int32 {
        let source = ConfigurationSource(option: option, environment: environment)
        let loaded = source.load()
        guard let new = loaded.configuration else {
            for problem in loaded.problems where problem.severity == .error { writeLine("\(problem)") }
            return 2
        }
        let attached = AttachmentStore(source.directories).load()
        if let clashes = AttachmentStore.clashText(of: attached.keys, with: new) {
            writeLine(clashes)
            return 2
        }
        let problems = unreadableState(source.directories)
        guard problems.isEmpty else {
            for problem in problems { writeLine(problem) }
            return 1
        }
        let accepted = AcceptedConfiguration(source.directories).configuration(of: source) ?? new
        let report = Report(
            format: Handover.format, version: version,
            plan: ReloadReport(ConfigurationDifference.between(accepted, new)))
        guard let data = try? JSONEncoder().encode(report) else { return 1 }
        return Array(data).withUnsafeBytes { write(1, $0.baseAddress, $0.count) } == data.count ? 0 : 1
    }

    /// What of the state this program cannot read: it would lose what the one before it knows.
    private static func unreadableState(_ directories: Directories) -> [String] {
        func check<Value: Decodable>(_ path: String, _ type: Value.Type) -> String? {
            guard let bytes = SystemFile.bytes(path, limit: 4 << 20) else { return nil }
            if (try? JSONDecoder().decode(type, from: Data(bytes))) != nil { return nil }
            return "\(path) is not understood by this version"
        }
        let files = InstanceFiles(directories)
        let records = files.names().map { check("\(directories.instances)/\($0).json", InstanceFile.self) }
        let others = [
            check("\(directories.state)/gateway.json", GatewayPredecessor.Record.self),
            check(AttachmentStore(directories).path, [String: AttachmentStore.Attachment].self),
        ]
        return (records + others).compactMap { $0 }
    }

    // MARK: The running program's part

    /// Has a file rehearse, for at most ``patience``.
    static func run(
        _ path: String, option: String?, environment: [String: String]
    ) async -> Result<Report, Refusal> {
        await withCheckedContinuation { continuation in
            BlockingThread.detach {
                continuation.resume(returning: runBlocking(path, option: option, environment: environment))
            }
        }
    }

    private static func runBlocking(
        _ path: String, option: String?, environment: [String: String]
    ) -> Result<Report, Refusal> {
        var arguments = [path, word]
        if let option { arguments += ["--config", option] }
        let outcome = ProgramRun.run(
            path, arguments, environment: environment.filter { !EngineEnvironment.isForMainProcess($0.key) },
            patience: patience)
        switch outcome {
        case .failure(let failure): return .failure(Refusal(reason: "\(path) cannot be run: \(failure.reason)"))
        case .success(let end):
            let said = end.errors.split(separator: "\n").suffix(20).joined(separator: "\n")
            if end.code == 2 { return .failure(Refusal(reason: said, isConfiguration: true)) }
            guard end.code == 0 else {
                let words = said.isEmpty ? "" : ": \(said)"
                return .failure(Refusal(reason: "\(path) \(end.description) in its rehearsal\(words)"))
            }
            guard let report = try? JSONDecoder().decode(Report.self, from: Data(end.output.utf8)) else {
                return .failure(Refusal(reason: "\(path) does not answer as Stoker does: is it the right file?"))
            }
            guard report.format == Handover.format else {
                let hint = "restart the daemon instead, which loads every model anew"
                return .failure(
                    Refusal(reason: "\(path), version \(report.version), cannot take over from this one: \(hint)"))
            }
            return .success(report)
        }
    }
}
