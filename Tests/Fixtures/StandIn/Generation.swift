/// The deterministic text that the engine's tokens stand for, with characters of two, three and four bytes in it.
enum Words {
    static let all = [
        "The", " café", " feeds", " the", " 漢字", " furnace", " 🔥", " and", " é", " watches", " 日本", " a", " gauge",
        " 🚂", " all", " day.",
    ]

    /// Pieces of a text of the control file's: each begins with a blank, save the first.
    static func split(_ text: String) -> [String] {
        var pieces: [String] = []
        for character in text {
            if pieces.isEmpty || character == " " { pieces.append("") }
            pieces[pieces.count - 1].append(character)
        }
        return pieces
    }

    /// How many tokens a text counts as: its words.
    static func count(_ text: String) -> Int {
        max(1, text.split { $0 == " " || $0 == "\n" || $0 == "\t" }.count)
    }
}

/// The protocols in which text is made.
enum Dialect: Sendable {
    case chat
    case completions
    case responses
    case messages
}

/// What is to be generated, as far as the engine is concerned.
struct Generation: Sendable {
    let promptTokens: Int
    let promptHash: Int
    /// Tokens that will be made.
    let count: Int
    /// Why it will end then: `length` or `stop`.
    let finish: String
    /// The text of the token of an index.
    let word: @Sendable (Int) -> String
    /// The prompt came as token ids, which vLLM does not tokenize.
    let promptIsTokens: Bool

    init(body: JSON, dialect: Dialect, control: Control, limit: Int) {
        let asked =
            switch dialect {
            case .chat: body["max_completion_tokens"]?.int ?? body["max_tokens"]?.int
            case .completions: body["max_tokens"]?.int ?? 16
            case .responses: body["max_output_tokens"]?.int
            case .messages: body["max_tokens"]?.int
            }
        let ids = body["prompt"]?.array.flatMap { $0.first?.int == nil ? nil : $0.count }
        promptIsTokens = ids != nil
        let prompt = Self.promptText(body, dialect)
        promptTokens = ids ?? Words.count(prompt)
        var hash = 5381
        for byte in prompt.utf8 { hash = hash &* 33 &+ Int(byte) }
        promptHash = hash

        let pieces = control.string("text").map(Words.split) ?? Words.all
        let payload = control.int("payload_bytes")
        word = { index in
            guard let payload else { return pieces[index % pieces.count] }
            let pattern = "0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ."
            let whole = String(repeating: pattern, count: payload / pattern.utf8.count)
            return whole + pattern.prefix(payload % pattern.utf8.count)
        }
        let room = max(1, limit - promptTokens)
        if let fixed = control.int("tokens") {
            count = fixed
            finish = asked == fixed ? "length" : "stop"
        } else {
            let natural = body["ignore_eos"]?.bool == true ? Int.max : pieces.count
            let most = min(asked ?? room, room)
            count = min(natural, most)
            finish = natural <= most ? "stop" : "length"
        }
    }

    static func promptText(_ body: JSON, _ dialect: Dialect) -> String {
        switch dialect {
        case .completions: flatten(body["prompt"] ?? nil)
        case .responses: flatten(body["input"] ?? nil)
        case .chat, .messages: flatten(body["system"] ?? nil) + " " + flatten(body["messages"] ?? nil)
        }
    }

    /// Every text in a value, one after the other.
    static func flatten(_ value: JSON) -> String {
        switch value {
        case .string(let text): text
        case .integer(let number): String(number)
        case .array(let elements): elements.map(flatten).joined(separator: " ")
        case .object(let members):
            members.filter { $0.0 == "content" || $0.0 == "text" || $0.0 == "role" }.map { flatten($0.1) }
                .joined(separator: " ")
        default: ""
        }
    }
}
