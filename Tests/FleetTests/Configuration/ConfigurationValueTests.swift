import Fleet
import Testing

@Suite("Configuration: values and their texts")
struct ConfigurationValueTests {
    @Test(
        "Durations",
        arguments: [
            ("0", Duration.zero), ("500ms", .milliseconds(500)), ("1s", .seconds(1)), ("1.5s", .milliseconds(1500)),
            ("5m", .seconds(300)), ("2h", .seconds(7200)), ("1d", .seconds(86_400)), ("1h30m", .seconds(5400)),
            ("0s", .zero), ("0.001s", .milliseconds(1)),
        ])
    func durations(text: String, expected: Duration) throws {
        #expect(try Duration(configuration: text) == expected)
        #expect(try Duration(configuration: expected.configurationText) == expected)
    }

    @Test(
        "No durations",
        arguments: [
            "", " ", "1", "1.5", "s", "1 s", "-1s", "+1s", "1S", "1min", "1us", "1.s", ".5s", "1..2s", "1s1m", "1m1m",
            "1e3s", "nans", "infs", "99999999999999d", "１s", "1s\n",
        ])
    func noDurations(text: String) {
        #expect(throws: ConfigurationValueError.self) { try Duration(configuration: text) }
    }

    @Test(
        "Sizes",
        arguments: [
            ("0", 0), ("1", 1), ("65536", 65_536), ("64KiB", 65_536), ("32MiB", 32 << 20), ("1GiB", 1 << 30),
            ("1TiB", 1 << 40), ("10MB", 10_000_000), ("10 MB", 10_000_000), ("1kB", 1000), ("1KB", 1000),
            ("2GB", 2_000_000_000), ("1.5KiB", 1536), ("7B", 7),
        ])
    func sizes(text: String, expected: Int) throws {
        #expect(try ByteSize.parse(text) == expected)
        #expect(try ByteSize.parse(ByteSize.text(expected)) == expected)
    }

    @Test(
        "No sizes",
        arguments: ["", "M", "32M", "32m", "1.5", "-1", "1 mib", "1MIB", "1e3", "99999999999TiB", "1.", ".5MiB", "1PB"])
    func noSizes(text: String) {
        #expect(throws: ConfigurationValueError.self) { try ByteSize.parse(text) }
    }

    @Test(
        "Listening addresses",
        arguments: [
            ("127.0.0.1:8080", ListenAddress.tcp(host: "127.0.0.1", port: 8080), true),
            ("0.0.0.0:0", .tcp(host: "0.0.0.0", port: 0), false),
            (":8080", .tcp(host: "0.0.0.0", port: 8080), false),
            ("*:8080", .tcp(host: "0.0.0.0", port: 8080), false),
            ("[::1]:8080", .tcp(host: "::1", port: 8080), true),
            ("[::]:8080", .tcp(host: "::", port: 8080), false),
            ("[FE80::1]:1", .tcp(host: "fe80::1", port: 1), false),
            ("localhost:65535", .tcp(host: "localhost", port: 65535), true),
            ("unix:/run/s.sock", .unix(path: "/run/s.sock"), true),
            ("unix:///run/s.sock", .unix(path: "/run/s.sock"), true),
        ])
    func addresses(text: String, expected: ListenAddress, isLoopback: Bool) throws {
        let address = try ListenAddress(configuration: text)
        #expect(address == expected)
        #expect(address.isLoopback == isLoopback)
        #expect(try ListenAddress(configuration: address.description) == expected)
    }

    @Test(
        "Base URLs, with and without /v1 and slashes",
        arguments: [
            ("http://a:8000", BaseURL(isTLS: false, host: "a", port: 8000, path: "")),
            ("http://a:8000/", BaseURL(isTLS: false, host: "a", port: 8000, path: "")),
            ("http://a:8000/v1", BaseURL(isTLS: false, host: "a", port: 8000, path: "")),
            ("http://a:8000/v1/", BaseURL(isTLS: false, host: "a", port: 8000, path: "")),
            ("http://a:8000/v1//", BaseURL(isTLS: false, host: "a", port: 8000, path: "")),
            ("HTTP://A.Example.ORG", BaseURL(isTLS: false, host: "a.example.org", port: 80, path: "")),
            ("https://a/v1", BaseURL(isTLS: true, host: "a", port: 443, path: "")),
            ("https://a:8443/team/x", BaseURL(isTLS: true, host: "a", port: 8443, path: "/team/x")),
            ("https://a/team/x/v1/", BaseURL(isTLS: true, host: "a", port: 443, path: "/team/x")),
            ("http://a/v1/v1", BaseURL(isTLS: false, host: "a", port: 80, path: "/v1")),
            ("http://a/v11", BaseURL(isTLS: false, host: "a", port: 80, path: "/v11")),
            ("http://a/V1", BaseURL(isTLS: false, host: "a", port: 80, path: "/V1")),
            ("http://[::1]:8000/v1", BaseURL(isTLS: false, host: "::1", port: 8000, path: "")),
            ("http://[2001:DB8::1]", BaseURL(isTLS: false, host: "2001:db8::1", port: 80, path: "")),
            (
                "http://host.docker.internal:8000/v1",
                BaseURL(isTLS: false, host: "host.docker.internal", port: 8000, path: "")
            ),
            ("http://my_service:8000", BaseURL(isTLS: false, host: "my_service", port: 8000, path: "")),
            ("unix:/run/vllm.sock", BaseURL(isTLS: false, host: "", port: 0, path: "", unixPath: "/run/vllm.sock")),
            ("unix:///run/vllm.sock", BaseURL(isTLS: false, host: "", port: 0, path: "", unixPath: "/run/vllm.sock")),
        ])
    func baseURLs(text: String, expected: BaseURL) throws {
        let url = try BaseURL(configuration: text)
        #expect(url == expected)
        // As it is shown, with the /v1 that every server has, it is the same again.
        #expect(try BaseURL(configuration: url.description + (url.unixPath == nil ? "/v1" : "")) == expected)
    }

    @Test("Restarts")
    func restarts() throws {
        #expect(try RestartConfiguration.backoff(parsing: "1s..5m") == (.seconds(1), .seconds(300)))
        #expect(try RestartConfiguration.backoff(parsing: "0.5s .. 1.5m") == (.milliseconds(500), .seconds(90)))
        #expect(try RestartConfiguration.backoff(parsing: "0..0") == (.zero, .zero))
        #expect(try RestartConfiguration.budget(parsing: "5 in 10m") == (5, .seconds(600)))
        #expect(try RestartConfiguration.budget(parsing: "0  in  1h") == (0, .seconds(3600)))
        for text in ["", "1s", "..", "1s..", "..1s", "1s...5m", "1s-5m", "1..5", "5m..1s"] {
            #expect(throws: ConfigurationValueError.self) { try RestartConfiguration.backoff(parsing: text) }
        }
        for text in ["", "5", "5 in", "in 10m", "5 in 10", "5 in 0", "-1 in 10m", "5 per 10m", "5 in 10m x"] {
            #expect(throws: ConfigurationValueError.self) { try RestartConfiguration.budget(parsing: text) }
        }
    }

    @Test("Which names are secret")
    func secretNames() {
        for name in ["API_KEY", "HF_TOKEN", "hf_token", "MY_SECRET_X", "DB_PASSWORD", "KEYRING"] {
            #expect(SecretNames.isSecret(variable: name))
        }
        for name in ["HF_HOME", "PATH", "OMP_NUM_THREADS"] { #expect(!SecretNames.isSecret(variable: name)) }
        #expect(
            SecretNames.redacted(arguments: [
                "--hf-token", "abc", "--max-num-batched-tokens", "8192", "--tokenizer", "t", "--hf_token=abc",
                "--hf-token",
                "--x",
            ]) == [
                "--hf-token", "(set)", "--max-num-batched-tokens", "8192", "--tokenizer", "t", "--hf_token=(set)",
                "--hf-token", "--x",
            ])
    }
}
