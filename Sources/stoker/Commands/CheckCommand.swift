import ArgumentParser
import Fleet
import Supervisor

/// `stoker check`
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Checks the configuration, and that this machine can do what it says.",
        discussion: """
            Prints every problem as file:line:column: path: message. Exits with 0 when there is none or only warnings, \
            with 1 for warnings under --strict, with 2 for errors.
            """)

    @Option(name: .shortAndLong, help: ArgumentHelp("The configuration file.", valueName: "file"), completion: .file())
    var config: String?

    @Flag(help: "Exit with 1 when there are warnings.")
    var strict = false

    @Flag(help: "The problems and what is in order, as JSON.")
    var json = false

    /// What `--json` prints.
    private struct Outcome: Encodable {
        var file: String?
        var errors: Int
        var warnings: Int
        var problems: [CheckProblem]
        var facts: [String]
    }

    func run() throws {
        let source = ConfigurationSource(option: config, environment: Environment.current)
        let loaded = source.load()
        var problems = loaded.problems.map { CheckProblem($0) }
        var facts: [String] = []
        if let configuration = loaded.configuration {
            let report = Preflight(
                configuration: configuration, environment: source.environment, directories: source.directories,
                file: loaded.file, keyFiles: loaded.keyFiles
            ).run()
            facts = report.facts
            problems += report.findings.map { CheckProblem($0, file: loaded.file, text: loaded.text) }
        }
        let errors = problems.filter { $0.isError }.count
        let warnings = problems.count - errors
        if json {
            Terminal.write(
                JSONLine.of(
                    Outcome(file: loaded.file, errors: errors, warnings: warnings, problems: problems, facts: facts)))
        } else {
            show(problems, facts, file: loaded.file)
        }
        if errors > 0 { throw ExitCode(ExitStatus.usage.rawValue) }
        if strict, warnings > 0 { throw ExitCode(ExitStatus.failed.rawValue) }
    }

    /// Problems on standard output, each in a line; what is in order beside them.
    private func show(_ problems: [CheckProblem], _ facts: [String], file: String?) {
        for problem in problems {
            Terminal.print(
                Terminal.hasColour ? Terminal.painted("\(problem)", problem.isError ? .red : .yellow) : "\(problem)")
        }
        let errors = problems.filter { $0.isError }.count
        let warnings = problems.count - errors
        if errors == 0 { for fact in facts { Terminal.error(fact) } }
        if facts.isEmpty, errors > 0 { Terminal.error("the machine is looked at when these are mended") }
        Terminal.error(
            problems.isEmpty
                ? "\(file ?? "the environment"): in order"
                : "\(errors) error\(errors == 1 ? "" : "s"), \(warnings) warning\(warnings == 1 ? "" : "s")")
    }
}
