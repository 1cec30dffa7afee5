/// A key's value as it was written, after expansion of variables, before it is understood.
struct RawSetting {
    var value: Value
    var place: SourcePlace

    enum Value {
        case scalar(RawText)
        case list([RawText])
        case map([RawEntry])
    }
}

/// One scalar.
struct RawText {
    /// After expansion.
    var text: String
    /// As written, for messages: what a variable held is never shown.
    var shown: String
    var place: SourcePlace
}

/// One name and value of a mapping of texts.
struct RawEntry {
    var name: String
    var namePlace: SourcePlace
    var value: RawText
}
