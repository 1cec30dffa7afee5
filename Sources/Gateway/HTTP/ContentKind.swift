/// What a request says its body is.
enum ContentKind {
    case json, multipart, other, absent

    /// By `Content-Type`, parameters left out.
    static func of(_ head: RequestHead, _ view: ByteView, _ table: HeaderTable) -> ContentKind {
        guard head.contentType >= 0 else { return .absent }
        let value = table.value(head.contentType, in: view)
        let end = value.firstIndex(of: 0x3b) ?? value.count
        let type = value.slice(0, end).trimmed()
        if type.equalsIgnoringCase("application/json") { return .json }
        return type.equalsIgnoringCase("multipart/form-data") ? .multipart : .other
    }
}
