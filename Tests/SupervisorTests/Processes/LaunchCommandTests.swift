import Fleet
import Testing

@testable import Supervisor

@Suite("The command line and environment of an engine")
struct LaunchCommandTests {
    private func launch(_ args: [String] = []) -> LaunchConfiguration {
        var launch = LaunchConfiguration(model: "org/m")
        launch.args = args
        return launch
    }

    @Test(
        "flags by version",
        arguments: [
            (nil, ["--host", "127.0.0.1", "--port", "4000"]),
            ("0.10.2", ["--host", "127.0.0.1", "--port", "4000"]),
            ("0.11.0", ["--uds", "/s"]),
            ("0.16.0", ["--uds", "/s", "--disable-access-log-for-endpoints", "/health,/metrics,/v1/models"]),
            ("0.32.0+cpu", ["--uds", "/s", "--disable-access-log-for-endpoints", "/health,/metrics,/v1/models"]),
        ] as [(String?, [String])])
    func versions(text: String?, flags: [String]) {
        let version = text.flatMap { EngineVersion($0) }
        let usesSocket = LaunchCommand.usesUnixSocket(launch(), version: version)
        let binding: LaunchCommand.Binding = usesSocket ? .unix(path: "/s") : .tcp(port: 4000)
        let command = LaunchCommand(launch(), version: version, binding: binding, gpus: 0)
        #expect(command.arguments == ["vllm", "serve", "org/m"] + flags)
    }

    @Test("what the user wrote wins")
    func userWins() {
        let args = ["--disable_access_log_for_endpoints=/y", "--disable-access-log-for-endpoints", "/x", "-tp", "2"]
        let command = LaunchCommand(launch(args), version: EngineVersion(0, 32), binding: .unix(path: "/s"), gpus: 2)
        #expect(command.arguments == ["vllm", "serve", "org/m"] + args + ["--uds", "/s"])
    }

    @Test("several GPUs are used in parallel unless said otherwise")
    func parallel() {
        let command = LaunchCommand(launch(), version: nil, binding: .tcp(port: 1), gpus: 4)
        #expect(command.arguments.suffix(2) == ["--tensor-parallel-size", "4"])
        #expect(LaunchCommand(launch(), version: nil, binding: .tcp(port: 1), gpus: 1).arguments.last == "1")
    }

    @Test(
        "versions",
        arguments: [
            ("0.32.0+cpu", "0.32.0"), ("0.18.1.dev3+g123", "0.18.1"), ("1.0", "1.0.0"), ("0.19.0rc1", "0.19.0"),
        ])
    func parsing(text: String, expected: String) { #expect(EngineVersion(text)?.description == expected) }

    @Test("no versions", arguments: ["", "dev", "1", "a.b.c"])
    func notVersions(text: String) { #expect(EngineVersion(text) == nil) }

    @Test("served names and shares are read from the arguments")
    func arguments() {
        #expect(LaunchCommand.servedNames(["--served-model-name", "a", "b", "--x"]) == ["a", "b"])
        #expect(LaunchCommand.servedNames(["--served_model_name=a"]) == ["a"])
        #expect(LaunchCommand.servedNames(["--x"]) == [])
        #expect(LaunchCommand.memoryShare(["--gpu-memory-utilization", "0.4"], version: nil) == 0.4)
        #expect(LaunchCommand.memoryShare(["--gpu-memory-utilization=0.3"], version: nil) == 0.3)
        #expect(LaunchCommand.memoryShare([], version: nil) == 0.9)
        #expect(LaunchCommand.memoryShare([], version: EngineVersion(0, 11)) == 0.9)
        #expect(LaunchCommand.memoryShare([], version: EngineVersion(0, 32)) == 0.92)
    }

    @Test(
        "engines do not inherit our configuration, other providers' keys or systemd's descriptors",
        arguments: [
            "VLLM_BASE_URL", "VLLM_API_KEY", "VLLM_TEST_BOX_API_KEY", "VLLM_TEST_MODELS", "STOKER_MASTER_KEY",
            "GOMODEL_MASTER_KEY",
            "NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM",
            "STATE_DIRECTORY", "RUNTIME_DIRECTORY",
        ])
    func withheld(name: String) {
        #expect(EngineEnvironment.make(inherited: [name: "x"], provider: [:], devices: nil)[name] == nil)
    }

    @Test("vLLM's own variables pass, the provider's win")
    func passed() {
        let environment = EngineEnvironment.make(
            inherited: ["VLLM_LOGGING_LEVEL": "DEBUG", "PATH": "/bin", "HF_HOME": "/a", "OTHER_KEY": "k"],
            provider: ["HF_HOME": Secret("/b"), "VLLM_API_KEY": Secret("mine")], devices: ["0", "2"],
            withheld: ["OTHER_KEY"])
        #expect(
            environment == [
                "VLLM_LOGGING_LEVEL": "DEBUG", "PATH": "/bin", "HF_HOME": "/b", "VLLM_API_KEY": "mine",
                "CUDA_VISIBLE_DEVICES": "0,2", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "75",
            ])
        #expect(EngineEnvironment.make(inherited: [:], provider: [:], devices: [])["CUDA_VISIBLE_DEVICES"] == "")
    }
}
