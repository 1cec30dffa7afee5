/// One key of the configuration: what the parser's checks and the reference page are both made from.
public struct KeyDescription: Sendable, Hashable {
    /// The key's path, such as `health.interval`; `*` stands for a provider's name.
    public var path: String
    /// What it takes.
    public var kind: Kind
    /// The value when nothing is said, as it would be written; empty where there is none.
    public var defaultText: String
    /// What a change of it asks for at a reload.
    public var reload: ReloadBehaviour
    /// What it is for, in a sentence or two.
    public var meaning: String
    /// A value, as it would be written.
    public var example: String

    /// A key.
    public init(
        _ path: String, _ kind: Kind, default defaultText: String = "", reload: ReloadBehaviour = .live,
        example: String, _ meaning: String
    ) {
        self.path = path
        self.kind = kind
        self.defaultText = defaultText
        self.reload = reload
        self.meaning = meaning
        self.example = example
    }

    /// What a key takes.
    public enum Kind: Sendable, Hashable {
        /// `true` or `false`.
        case boolean
        /// A whole number within a range.
        case integer(ClosedRange<Int>)
        /// A duration within a range; 0 too, if the range begins there.
        case duration(ClosedRange<Duration>)
        /// Two durations, `1s..5m`.
        case durationRange
        /// A number within a time, `5 in 10m`.
        case budget
        /// A size in bytes within a range.
        case size(ClosedRange<Int>)
        /// One of several words.
        case choice([String])
        /// Any text without control characters.
        case text
        /// A file's path; a relative one is taken from the configuration file's folder.
        case path
        /// A server's base URL.
        case url
        /// A listening address, or a list of them.
        case addresses
        /// A list of texts.
        case texts
        /// A number of GPUs, or a list of their indices or UUIDs.
        case gpus
        /// Names and values of environment variables.
        case environment
        /// A key, which is never shown.
        case secret

        /// Whether the value is one scalar, so that an environment variable can give it in full.
        public var isScalar: Bool {
            switch self {
            case .texts, .gpus, .environment: return false
            default: return true
            }
        }
    }

    /// What a change of a key asks for at a reload.
    public enum ReloadBehaviour: String, Sendable, Hashable, Codable, CaseIterable {
        /// Applies at once; nothing restarts.
        case live
        /// A new gateway process takes over; streams of the old one go on.
        case newGateway = "new gateway"
        /// The provider's instances are replaced, one after another.
        case replacesInstances = "replaces instances"
        /// Waits for a restart of the daemon (which engines survive).
        case restart
    }

    /// The unit of what it takes, as the reference page says it.
    public var unit: String {
        switch kind {
        case .duration, .durationRange, .budget: return "ms, s, m, h, d"
        case .size: return "B, KiB, MiB, GiB, TiB; kB, MB, GB, TB"
        default: return ""
        }
    }

    /// What it takes, as the reference page says it.
    public var typeText: String {
        switch kind {
        case .boolean: return "`true` or `false`"
        case .integer(let range): return "whole number, \(range.lowerBound) to \(range.upperBound)"
        case .duration(let range):
            let low = range.lowerBound == .zero ? "0" : range.lowerBound.configurationText
            return "duration, \(low) to \(range.upperBound.configurationText)"
        case .durationRange: return "range of durations"
        case .budget: return "number in a duration"
        case .size(let range):
            return "size, \(ByteSize.text(range.lowerBound)) to \(ByteSize.text(range.upperBound))"
        case .choice(let words): return words.map { "`\($0)`" }.joined(separator: ", ")
        case .text: return "text"
        case .path: return "path"
        case .url: return "URL"
        case .addresses: return "address or list of addresses"
        case .texts: return "list of texts"
        case .gpus: return "number, or list of indices or UUIDs"
        case .environment: return "names and values"
        case .secret: return "secret"
        }
    }

    /// The environment variable that sets it, such as `STOKER_HEALTH_INTERVAL`; nil for providers' keys, which have
    /// `VLLM_[SUFFIX_]BASE_URL`, `_API_KEY` and `_MODELS` instead.
    public var environmentVariable: String? {
        guard !path.hasPrefix("providers.") else { return nil }
        return "STOKER_" + String(path.uppercased().map { $0 == "." ? "_" : $0 })
    }
}
