import CDashboard

/// The dashboard's files, which are real ones in `Sources/CDashboard/page`: one page with its style and its modules,
/// nothing from anywhere else.
enum Dashboard {
    /// One file as it is served.
    struct File: Sendable, Hashable {
        /// Its bytes.
        var bytes: [UInt8]
        /// The value of `Content-Type`.
        var type: String
    }

    /// Every file by its name in the folder.
    static let files: [String: File] = {
        var files: [String: File] = [:]
        var index = 0
        while let file = stoker_dashboard_file_at(index)?.pointee {
            index += 1
            let name = String(cString: file.name)
            files[name] = File(
                bytes: Array(UnsafeBufferPointer(start: file.bytes, count: file.count)), type: type(of: name))
        }
        return files
    }()

    /// A style or a module of the page's, under `/dashboard/`.
    static func part(_ name: String) -> File? {
        name.hasSuffix(".html") || name == "login.css" ? nil : files[name]
    }

    /// The page that asks for the admin token; `failed` after a wrong one. Without script, so that it works wherever a
    /// form does.
    static func login(failed: Bool) -> String {
        let page = files["login.html"].map { String(decoding: $0.bytes, as: UTF8.self) } ?? ""
        guard let place = page.firstRange(of: "<!-- message -->") else { return page }
        return page.replacingCharacters(
            in: place, with: failed ? "<p class=\"wrong\" role=\"alert\">That is not the admin token.</p>" : "")
    }

    private static func type(of name: String) -> String {
        switch name.split(separator: ".").last {
        case "js": return "text/javascript; charset=utf-8"
        case "css": return "text/css; charset=utf-8"
        default: return "text/html; charset=utf-8"
        }
    }
}

extension String {
    /// The text with a part of it replaced.
    fileprivate func replacingCharacters(in range: Range<String.Index>, with text: String) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
