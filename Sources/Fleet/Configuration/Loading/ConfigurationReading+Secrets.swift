extension ConfigurationReading {
    /// A key: given as it is, in a file, or as a systemd credential. No message ever shows it.
    ///
    /// - Parameters:
    ///   - path: The key's path; the file's is the same with `_file`.
    ///   - credential: The credential's name, looked for when neither is given.
    mutating func secret(_ path: String, credential: String) -> Secret? {
        let filePath = "\(path)_file"
        if let value = settings[path], let file = settings[filePath] {
            let later = max(value.place, file.place)
            let name = path.split(separator: ".").last.map(String.init) ?? path
            error("\(name) and \(name)_file are both given: leave one of them out", at: later)
            return nil
        }
        if let setting = settings[path], case .scalar(let raw) = setting.value {
            return key(raw.text, at: raw.place, of: "the key")
        }
        if let place = settings[filePath]?.place {
            guard let file = self.path(filePath) else { return nil }
            inputs.keyFileSeen(filePath, file)
            return key(inFile: file, at: place)
        }
        guard !unreadable.contains(path), !unreadable.contains(filePath),
            let directory = inputs.credentialsDirectory, !directory.isEmpty
        else { return nil }
        // Whether there is such a credential can only be told by reading it.
        guard let text = try? inputs.readFile("\(directory)/\(credential)") else { return nil }
        let place = SourcePlace(
            layer: .credential, file: "\(directory)/\(credential)", line: 0, column: 0, label: path)
        return key(Self.withoutFinalNewline(text), at: place, of: "the credential")
    }

    /// The path of a systemd credential, if there is one of this name.
    func credentialFile(_ name: String) -> String? {
        guard let directory = inputs.credentialsDirectory, !directory.isEmpty,
            (try? inputs.readFile("\(directory)/\(name)")) != nil
        else { return nil }
        return "\(directory)/\(name)"
    }

    private mutating func key(inFile file: String, at place: SourcePlace) -> Secret? {
        // Who writes a key where its file's path belongs shall not find it in the log.
        let shown = file.contains("/") ? Self.quoted(file) : "the file"
        do {
            let text = try inputs.readFile(file)
            return key(Self.withoutFinalNewline(text), at: place, of: shown)
        } catch {
            self.error(
                "\(shown) cannot be read (\(Self.reason(of: error))): create it with the key as its only line, and let "
                    + "the daemon's user read it",
                at: place)
            return nil
        }
    }

    private static func reason(of error: any Error) -> String {
        printable(String(describing: error), atMost: 160)
    }

    private static func withoutFinalNewline(_ text: String) -> String {
        var scalars = Substring(text).unicodeScalars
        while let last = scalars.last, last == "\n" || last == "\r" { scalars.removeLast() }
        return String(scalars)
    }

    /// What an HTTP header can carry, for that is where it goes.
    private mutating func key(_ text: String, at place: SourcePlace, of subject: String) -> Secret? {
        if text.isEmpty {
            error("\(subject) is empty: give it a key, or leave it out", at: place)
            return nil
        }
        let bytes = Array(text.utf8)
        let wrong: String
        if bytes.contains(0) {
            wrong = "has a NUL character"
        } else if bytes.contains(10) || bytes.contains(13) {
            wrong = "has more than one line"
        } else if bytes.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
            wrong = "has a control character"
        } else if bytes.contains(where: { $0 >= 0x80 }) {
            wrong = "has a character beyond ASCII"
        } else if bytes.first == 0x20 || bytes.last == 0x20 {
            wrong = "begins or ends with a space"
        } else {
            return Secret(text)
        }
        error(
            "\(subject) \(wrong), which no HTTP header can carry: use letters, digits and signs on one line", at: place)
        return nil
    }
}
