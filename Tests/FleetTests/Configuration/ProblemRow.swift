import Testing

/// A text, and the problems that it has without the file's name in front.
struct ProblemRow: CustomTestStringConvertible {
    var yaml: String
    var lines: [String]
    var environment: [String: String]
    var files: [String: String]

    init(
        _ yaml: String, _ lines: String..., environment: [String: String] = [:], files: [String: String] = [:]
    ) {
        self.yaml = yaml
        self.lines = lines
        self.environment = environment
        self.files = files
    }

    var testDescription: String { yaml }

    static let rows: [ProblemRow] =
        documents + keys + types + ranges + expansion + addresses + urls + providers + launched + gpus + secrets
}
