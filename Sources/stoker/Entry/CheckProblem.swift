import Supervisor

/// A line that `stoker check` prints.
struct CheckProblem: CustomStringConvertible, Equatable {
    /// Whether it is more than a warning.
    var isError: Bool
    /// `file:line:column: path: message`
    var description: String

    /// A problem that already knows its line.
    init(isError: Bool, description: String) {
        self.isError = isError
        self.description = description
    }

    /// What the preflight found, at the place of its key in the file; 0:0 where the file does not have the key.
    init(_ finding: PreflightFinding, file: String?, text: String?) {
        isError = finding.severity == .error
        let place = text.flatMap { KeyPlace.find(finding.path, in: $0) }
        let position = place.map { "\(file ?? ""):\($0.line):\($0.column)" } ?? "\(file ?? "(environment)"):0:0"
        description = "\(position): \(finding.path): \(isError ? "" : "warning: ")\(finding.message)"
    }
}
