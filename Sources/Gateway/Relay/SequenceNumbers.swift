/// Follows the `sequence_number`s in a Responses stream's payload, however reads and chunks cut it, so that an event of
/// our own can come behind the last one.
struct SequenceNumbers {
    /// The newest number whose end was seen, or that was last seen growing.
    private(set) var newest = 0
    /// How much of the key has been matched.
    private var matched = 0
    /// Whether the key is behind and its number is being read.
    private var isReading = false
    private var number = 0

    /// No stream yet.
    init() {}

    /// Takes more payload.
    mutating func follow(_ payload: ByteView) {
        let key = ByteView("\"sequence_number\":")
        var at = 0
        while at < payload.count {
            if isReading {
                let byte = payload[at]
                if byte &- 0x30 < 10, number < Int.max / 100 {
                    number = number &* 10 &+ Int(byte &- 0x30)
                    newest = max(newest, number)
                } else if byte != 0x20 || number > 0 {
                    isReading = false
                    continue
                }
            } else if matched == 0 {
                guard let quote = payload.firstIndex(of: 0x22, from: at) else { return }
                at = quote
                matched = 1
            } else if payload[at] == key[matched] {
                matched += 1
                if matched == key.count {
                    matched = 0
                    number = 0
                    isReading = true
                }
            } else {
                matched = 0
                continue
            }
            at += 1
        }
    }
}
