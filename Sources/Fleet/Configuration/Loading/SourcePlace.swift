/// Where a value was written.
struct SourcePlace: Hashable, Comparable {
    /// Which input, in order of precedence: a later one wins.
    enum Layer: Int {
        case credential
        case yaml
        case environment
        case commandLine
    }

    var layer: Layer
    /// The file's name, `(environment)` or `(command line)`.
    var file: String
    /// From 1; 0 outside of files.
    var line: Int
    /// From 1; 0 outside of files.
    var column: Int
    /// What is shown as the path: the key's path, or the variable's name.
    var label: String

    static func < (left: SourcePlace, right: SourcePlace) -> Bool {
        if left.layer != right.layer { return left.layer.rawValue < right.layer.rawValue }
        return (left.line, left.column, left.label) < (right.line, right.column, right.label)
    }

    /// The place of an environment variable.
    static func environment(_ variable: String) -> SourcePlace {
        SourcePlace(
            layer: .environment, file: ConfigurationProblem.environment, line: 0, column: 0, label: variable)
    }

    /// The place of an option that sets a key.
    static func commandLine(_ path: String) -> SourcePlace {
        SourcePlace(layer: .commandLine, file: ConfigurationProblem.commandLine, line: 0, column: 0, label: path)
    }
}
