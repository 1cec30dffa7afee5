import ArgumentParser
import FoundationEssentials
import Glibc
import Supervisor

/// `stoker attach`
struct AttachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Routes to a vLLM server that runs already.",
        discussion: "It is only ever probed and routed to, and kept until 'stoker detach'.")

    @Argument(help: "Its name here: lower case letters, digits and hyphens.")
    var name: String

    @Argument(help: ArgumentHelp("Where it is, such as http://10.0.0.7:8000/v1.", valueName: "url"))
    var url: String

    @Option(
        name: .customLong("api-key-file"),
        help: ArgumentHelp("A file, readable by the daemon, with the key that the server wants.", valueName: "file"),
        completion: .file())
    var keyFile: String?

    @OptionGroup var json: JSONOption

    @OptionGroup var options: DaemonOptions

    func run() throws {
        struct Body: Encodable {
            var baseURL: String
            var apiKeyFile: String?

            enum CodingKeys: String, CodingKey {
                case baseURL = "base_url"
                case apiKeyFile = "api_key_file"
            }
        }
        let body = Body(baseURL: url, apiKeyFile: keyFile.map(Self.absolute))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        let daemon = options.daemon
        let answer = try daemon.raw(
            "PUT", "/api/v1/instances/\(URLComponent.escaped(name))", headers: [("Content-Type", "application/json")],
            body: Array(try encoder.encode(body)), silence: .seconds(60))
        if answer.status >= 400 { throw daemon.failure(of: answer, refused: answer.status == 400 ? .usage : .failed) }
        if json.isWanted { return Terminal.write(JSONLine.of(AttachOutcome(name: name, attached: true))) }
        Terminal.print("\(name): attached; 'stoker status' shows when it is ready")
    }

    /// The daemon has a working directory of its own.
    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let directory = getcwd(nil, 0) else { return path }
        defer { free(directory) }
        return "\(String(cString: directory))/\(path)"
    }
}
