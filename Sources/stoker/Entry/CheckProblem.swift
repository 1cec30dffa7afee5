import Fleet
import Supervisor

/// A line that `stoker check` prints, and what `--json` says of it.
struct CheckProblem: CustomStringConvertible, Equatable, Encodable {
    /// `error` or `warning`.
    var severity: String
    /// The file, or `(environment)`.
    var file: String
    /// From 1; 0 where there is no line to show.
    var line: Int
    /// From 1; 0 where there is no line to show.
    var column: Int
    /// The configuration's key.
    var path: String
    /// What is wrong and what to do.
    var message: String

    /// A problem of the configuration, which knows its place.
    init(_ problem: ConfigurationProblem) {
        severity = problem.severity.rawValue
        (file, line, column) = (problem.file, problem.line, problem.column)
        (path, message) = (problem.path, problem.message)
    }

    /// What the preflight found, at the place of its key in the file; 0:0 where the file does not have the key.
    init(_ finding: PreflightFinding, file: String?, text: String?) {
        severity = finding.severity.rawValue
        (path, message) = (finding.path, finding.message)
        if let place = finding.place {
            (self.file, line, column) = (place.file, place.line, place.line == 0 ? 0 : 1)
            return
        }
        let place = text.flatMap { KeyPlace.find(finding.path, in: $0) }
        self.file = file ?? ConfigurationProblem.environment
        (line, column) = (place?.line ?? 0, place?.column ?? 0)
    }

    /// Whether it is more than a warning.
    var isError: Bool { severity == ConfigurationProblem.Severity.error.rawValue }

    /// `file:line:column: path: message`
    var description: String { "\(file):\(line):\(column): \(path): \(isError ? "" : "warning: ")\(message)" }
}
