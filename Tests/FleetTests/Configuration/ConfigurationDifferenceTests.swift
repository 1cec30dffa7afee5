import Fleet
import Testing

@Suite("Configuration: differences")
struct ConfigurationDifferenceTests {
    private static let base = """
        master_key: one
        providers:
          chat: { model: m, replicas: 2, env: { HF_TOKEN: a } }
          embed: { model: e }
          vllm: { base_url: "http://a", api_key: k }
        """

    private func difference(_ edits: (String, String)...) throws -> ConfigurationDifference {
        var text = Self.base
        for (old, new) in edits {
            let range = try #require(text.firstRange(of: old))
            text.replaceSubrange(range, with: new)
        }
        let before = try #require(load(Self.base).configuration)
        let loaded = load(text)
        return .between(before, try #require(loaded.configuration, "\(loaded.lines)"))
    }

    private let all = ["chat-0", "chat-1", "embed-0", "vllm"]

    @Test("Nothing")
    func nothing() throws {
        let difference = try difference()
        #expect(difference.isEmpty)
        #expect(difference.untouched == all)
    }

    @Test("More and fewer replicas leave the others alone")
    func replicas() throws {
        let more = try difference(("replicas: 2", "replicas: 4"))
        #expect(more.added == ["chat-2", "chat-3"])
        #expect(more.untouched == all)
        #expect(more.changed == [] && more.removed == [] && more.adjusted == [])
        let fewer = try difference(("replicas: 2", "replicas: 1"))
        #expect(fewer.removed == ["chat-1"])
        #expect(fewer.untouched == ["chat-0", "embed-0", "vllm"])
    }

    @Test("Providers that come and go")
    func providers() throws {
        let difference = try difference(("embed: { model: e }", "rank: { model: r }"))
        #expect(difference.added == ["rank-0"])
        #expect(difference.removed == ["embed-0"])
        #expect(difference.untouched == ["chat-0", "chat-1", "vllm"])
    }

    @Test("What the server itself is made of replaces it")
    func changed() throws {
        let model = try difference(("model: e", "model: f"))
        #expect(model.changed.map(\.name) == ["embed-0"])
        #expect(model.changed.first?.settings.map(\.description) == ["providers.embed.model: e → f"])
        #expect(model.untouched == ["chat-0", "chat-1", "vllm"])
        let url = try difference(("http://a", "http://b"))
        #expect(url.changed.map(\.name) == ["vllm"])
        let secret = try difference(("HF_TOKEN: a", "HF_TOKEN: b"))
        #expect(secret.changed.map(\.name) == ["chat-0", "chat-1"])
        #expect(
            secret.changed.first?.settings.map(\.description) == [
                "providers.chat.env: {HF_TOKEN: (set)} → (changed)"
            ])
    }

    @Test("What only the rules are made of leaves the server running")
    func adjusted() throws {
        let rules = try difference(("model: e", "model: e, restart: { backoff: 2s..5m }, models: [x]"))
        #expect(rules.changed == [])
        #expect(rules.adjusted.map(\.name) == ["embed-0"])
        #expect(
            rules.adjusted.first?.settings.map(\.description) == [
                "providers.embed.restart.backoff: 1s..5m → 2s..5m", "providers.embed.models: (none) → [x]",
            ])
        let key = try difference(("api_key: k", "api_key: l"))
        #expect(key.adjusted.first?.settings.map(\.description) == ["providers.vllm.api_key: (set) → (changed)"])
        let noKey = try difference((", api_key: k", ""))
        #expect(noKey.adjusted.first?.settings.map(\.description) == ["providers.vllm.api_key: (set) → (none)"])
    }

    @Test("Settings of the daemon, and what they ask for")
    func settings() throws {
        let difference = try difference(
            ("master_key: one", "master_key: two\nlisten: 127.0.0.1:9\nadmin: { listen: 127.0.0.1:7 }"))
        #expect(
            difference.settings.map(\.description) == [
                "listen: [127.0.0.1:8080] → [127.0.0.1:9]", "admin.listen: [127.0.0.1:8081] → [127.0.0.1:7]",
                "master_key: (set) → (changed)",
            ])
        #expect(difference.needsRestart.map(\.path) == ["admin.listen"])
        #expect(difference.needsNewGateway)
        #expect(difference.untouched == all)
        #expect(!difference.isEmpty)
    }

    @Test("An attached provider in a launched one's place")
    func otherKind() throws {
        let difference = try difference(("embed: { model: e }", "embed-0: { base_url: \"http://e\" }"))
        #expect(difference.changed.map(\.name) == ["embed-0"])
    }
}
