import Fleet
import Testing

@Suite("Configuration: whatever the text, problems and no crash")
struct HostileTextTests {
    @Test("Documents that are no configuration")
    func documents() {
        for (index, text) in Self.texts.enumerated() {
            let loaded = load(text)
            #expect(!loaded.errors.isEmpty, "text \(index)")
            #expect(loaded.problems.allSatisfy { $0.line > 0 && $0.column > 0 }, "text \(index)")
            #expect(!loaded.lines.contains { $0.contains { $0.isNewline } }, "text \(index)")
        }
    }

    @Test("Mutated configurations")
    func mutations() {
        var random = SplitMix(state: 20_26)
        let pieces: [String] = [
            "{", "}", "[", "]", ":", ": ", "- ", "? ", "&a ", "*a", "|\n", ">-\n", "\"", "'", "#", "\n", "\t", "  ",
            "---\n",
            "...\n", "%YAML 1.2\n", "!!str ", "!x ", "<<: ", "${", "${A}", "${A:-", "}", "$$", "\u{0}", "\u{85}",
            "\u{2028}", "\u{FEFF}",
            "\r\n", "\r", "é", "👩‍🚀", "\u{F0000}", "\u{10FFFF}", "..", "0", "-1", "99999999999999999999", "1e400", "nan",
            "5 in 10m",
            "1s..", "~", "null", "*", "&", "mode: x\n", "providers:\n  a: {}\n", "\\x00", "\\ud800",
        ]
        let seed = Array(ConfigurationLoaderTests.example.unicodeScalars)
        for _ in 0..<600 {
            var text = seed
            for _ in 0...Int(random.next() % 4) {
                let at = Int(random.next() % UInt64(text.count + 1))
                switch random.next() % 5 {
                case 0: text.removeSubrange(at..<min(text.count, at + Int(random.next() % 40)))
                case 1: text.removeSubrange(at...)
                case 2:
                    let from = Int(random.next() % UInt64(text.count + 1))
                    text.insert(contentsOf: text[from..<min(text.count, from + Int(random.next() % 80))], at: at)
                default:
                    let piece = pieces[Int(random.next() % UInt64(pieces.count))]
                    text.insert(contentsOf: piece.unicodeScalars, at: at)
                }
            }
            var yaml = ""
            yaml.unicodeScalars.append(contentsOf: text)
            let loaded = load(
                yaml, environment: ["A": "a: [", "VLLM_TEST_API_KEY": "sk-secret"],
                files: ["/etc/stoker/master.key": "k"])
            #expect((loaded.configuration == nil) == !loaded.errors.isEmpty)
            let sound = !loaded.lines.contains { $0.contains { $0.isNewline } || $0.contains("sk-secret") }
            #expect(sound, "\(yaml.debugDescription)")
            if let configuration = loaded.configuration { _ = configuration.redacted() }
        }
    }

    @Test("Many duplicates are named, each at its place, up to a bound")
    func manyDuplicates() {
        let loaded = load((0..<40).map { _ in "mode: supervise\n" }.joined())
        #expect(loaded.lines.count == 39)
        #expect(loaded.problems.last?.line == 40)
        let many = load((0..<60).map { _ in "mode: supervise\n" }.joined())
        #expect(many.problems.map(\.message) == ["duplicate key, one of very many"])
    }

    @Test("Mutated environments and options")
    func mutatedVariables() {
        var random = SplitMix(state: 7)
        let alphabet = Array("aZ09_-.,:/@[]%\u{0}\n ésmKiB")
        func word() -> String {
            String((0..<Int(random.next() % 12)).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] })
        }
        for _ in 0..<150 {
            var environment: [String: String] = [
                "VLLM_\(word())_BASE_URL": "http://\(word())", "VLLM_BASE_URL": word(),
            ]
            var overrides: [String: String] = [:]
            for key in ConfigurationReference.keys {
                if random.next() % 4 == 0, let name = key.environmentVariable { environment[name] = word() }
                if random.next() % 4 == 0 {
                    overrides[key.path.split(separator: "*").joined(separator: word())] = word()
                }
            }
            let loaded = load(environment: environment, overrides: overrides)
            #expect((loaded.configuration == nil) == !loaded.errors.isEmpty)
        }
    }

    static let texts: [String] = [
        String(repeating: "[", count: 100_000),
        String(repeating: "{a: ", count: 100_000),
        String(repeating: "- ", count: 100_000),
        String(repeating: "? ", count: 100_000),
        (0..<2000).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
        String(repeating: "[\"]\", ", count: 3000),
        "mode: \"a\u{2028}b\"", "\"a\u{2029}b\\n\": 1", "listen: \u{0}", "\u{1}", "a: \u{7f}\u{9}b\n\t- x",
        "!!binary x: !!set y", "%YAML 9.9\n---\na",
        "*a", "a: *b", "&a a: *a", "&x [*x]", "a: &x {b: *x}", "? [a, b]\n: c", "? {a: 1}\n: c", "[]: 1", "{}: 1\n",
        "- a\n- b", "text", "5", "'quoted'", "|\n  block", "\"", "'", "{", "}", "]", ":", "? ", "- ", "@", "`", "%",
        "a: 1\na: 2", "\"a\": 1\na: 2", "'a': 1\n\"a\": 2", "&k a: 1\n*k : 2", "? a\n: 1\n? a\n: 2", "\"\": 1\n'': 2",
        "\u{FEFF}a: 1\na: 2", "1: a\n'1': b", "~: 1\n~: 2", "<<: {}", "a: 1\n---\nb: 2", "listen: [",
        "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\n"
            + "e: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f]\n"
            + "h: &h [*g,*g,*g,*g,*g,*g,*g,*g]\ni: &i [*h,*h,*h,*h,*h,*h,*h,*h]\n? *i\n: x\n",
        (0..<300).map { _ in "dup: 1\n" }.joined(),
        String(repeating: "#", count: 5 << 20),
    ]
}
