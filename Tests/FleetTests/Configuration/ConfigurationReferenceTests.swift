import Fleet
import Glibc
import Testing

@Suite("Configuration: the reference")
struct ConfigurationReferenceTests {
    @Test("docs/configuration.md is made from the table")
    func page() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
        let path = "\(root)/docs/configuration.md"
        let page = ConfigurationReference.markdown()
        if getenv("STOKER_TEST_REGENERATE") != nil {
            let file = try #require(fopen(path, "w"))
            fputs(page, file)
            fclose(file)
        }
        let file = try #require(fopen(path, "r"), "run the tests with STOKER_TEST_REGENERATE=1")
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: page.utf8.count + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        #expect(
            String(decoding: bytes.prefix(count), as: UTF8.self) == page,
            "docs/configuration.md is not what the table says: run the tests with STOKER_TEST_REGENERATE=1")
    }

    @Test("Keys and variables are unique, and every key's example is understood")
    func table() {
        let keys = ConfigurationReference.keys
        #expect(Set(keys.map(\.path)).count == keys.count)
        let variables = keys.compactMap(\.environmentVariable)
        #expect(Set(variables).count == variables.count)
        #expect(variables.contains("STOKER_LIMITS_STREAMS_PER_INSTANCE"))
        for key in keys {
            let provider = key.path.hasPrefix("providers.*.")
            let path = (provider ? String(key.path.dropFirst(12)) : key.path).split(separator: ".")
            // Between brackets a variable would have to be quoted.
            let example = key.example.hasPrefix("$") ? "'\(key.example)'" : key.example
            var value = path.reversed().reduce(example) { "{ \($1): \($0) }" }
            if provider {
                let isAttached = ["base_url", "api_key", "api_key_file", "ca_file"].contains(path[0])
                let source = isAttached ? "base_url: \"https://a\"" : "model: m"
                if path[0] != "model", path[0] != "base_url" { value = "{ \(source), " + value.dropFirst(1) }
                value = "{ providers: { chat: \(value) } }"
            }
            if key.path == "tls.key_file" { value = "{ tls: { certificate_file: /c, key_file: \(key.example) } }" }
            let loaded = load(
                value,
                environment: ["STOKER_MASTER_KEY": "k", "VLLM_TEST_API_KEY": value.contains("{VLLM") ? "k" : ""],
                files: ["/etc/stoker/master.key": "k", "/etc/stoker/vllm-test.key": "k"])
            #expect(loaded.lines == [], "\(value)")
        }
    }
}
