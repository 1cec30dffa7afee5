extension ConfigurationReading {
    /// Options of `vllm serve` that Stoker sets itself, without their hyphens.
    private static let ownOptions = ["host", "port", "uds", "api-key", "root-path"]

    /// The option of ours that an argument sets, as vLLM would read it: `--ssl_keyfile=x` is `--ssl-keyfile`, `--api-k`
    /// an abbreviation of `--api-key`.
    static func ownOption(in argument: String) -> String? {
        guard argument.hasPrefix("--") else { return nil }
        let name = String(
            argument.dropFirst(2).prefix { $0 != "=" }.map { $0 == "_" ? "-" : $0 }
        ).lowercased()
        guard !name.isEmpty else { return nil }
        if name == "ssl" || name.hasPrefix("ssl-") { return "--\(name)" }
        return ownOptions.first { $0.hasPrefix(name) }.map { "--\($0)" }
    }

    /// Arguments that would take the server out of our hands.
    mutating func checkArguments(_ path: String) {
        for element in elements(path) ?? [] {
            guard let option = Self.ownOption(in: element.text) else { continue }
            let advice =
                switch option {
                case "--host", "--port", "--uds": "Stoker chooses where the server listens; see transport"
                case "--api-key": "arguments can be read by every user; the gateway's own key is master_key"
                case "--root-path": "the gateway has the server at its root"
                default: "the gateway reaches the server on this machine; TLS is for those in front"
                }
            error("\(option) is not to be given: \(advice)", at: element.place)
        }
    }

    /// Commands whose processes are not ours to supervise.
    mutating func checkCommand(_ path: String) {
        guard let elements = elements(path), let place = settings[path]?.place else { return }
        guard let first = elements.first, !first.text.isEmpty else {
            error("expected a program and its arguments, such as [vllm, serve]", at: place)
            return
        }
        for element in elements {
            let program = element.text.split(separator: "/").last.map(String.init) ?? element.text
            guard ["docker", "podman", "nerdctl", "ssh"].contains(program) else { continue }
            error(
                "\(program) starts the server where Stoker cannot watch or end it: start it yourself, and attach to it "
                    + "with base_url in place of model",
                at: element.place)
            return
        }
    }

    /// The value of an option in arguments, `--name value` or `--name=value`, the last one if there are several.
    static func option(_ name: String, in arguments: [String]) -> String? {
        var found: String?
        for (index, argument) in arguments.enumerated() {
            let written = argument.prefix { $0 != "=" }
            guard String(written.map { $0 == "_" ? "-" : $0 }) == name else { continue }
            if let equals = argument.firstIndex(of: "=") {
                found = String(argument[argument.index(after: equals)...])
            } else if index + 1 < arguments.count {
                found = arguments[index + 1]
            }
        }
        return found
    }
}
