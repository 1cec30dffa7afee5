import Foundation
import Testing

/// Holds the arrows between targets: what each may import, by what its files say.
@Suite struct ArrowsTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Everything that a target's files may import; what is not listed is an arrow that nobody decided on.
    static let allowed: [String: Set<String>] = [
        "Fleet": ["CLinux", "FoundationEssentials", "Glibc", "Synchronization", "Yams"],
        "Health": ["CCurl", "CLinux", "Fleet", "FoundationEssentials", "Glibc", "Synchronization"],
        "Gateway": ["CLinux", "COpenSSL", "Fleet", "FoundationEssentials", "Glibc", "Synchronization"],
        "Supervisor": [
            "CDashboard", "CLinux", "CSystemd", "Dispatch", "Fleet", "FoundationEssentials", "Glibc", "HTTPTypes",
            "Health",
            "Hummingbird", "HummingbirdCore", "Logging", "NIOCore", "NIOHTTPTypes", "NIOPosix", "Synchronization",
        ],
        "stoker": [
            "ArgumentParser", "CLinux", "Dispatch", "Fleet", "FoundationEssentials", "Gateway", "Glibc", "Health",
            "Logging",
            "Supervisor", "Synchronization",
        ],
    ]

    @Test(arguments: allowed.keys.sorted())
    func aTargetImportsOnlyWhatItMay(target: String) throws {
        let folder = Self.root.appending(path: "Sources/\(target)")
        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
            .compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }
        #expect(!files.isEmpty, "nothing was read below \(folder.path)")
        for file in files {
            let text = try String(contentsOf: file, encoding: .utf8)
            for line in text.split(separator: "\n") {
                guard let module = Self.importedModule(line) else { continue }
                #expect(
                    Self.allowed[target]?.contains(module) == true,
                    "\(target) imports \(module) in \(file.lastPathComponent)")
            }
        }
    }

    @Test(
        arguments: [
            ("import Fleet", "Fleet"), ("@testable import Fleet", "Fleet"),
            ("public import struct Fleet.Instant", "Fleet"),
            ("@preconcurrency import NIOCore", "NIOCore"), ("// import Fleet", nil), ("let importer = 1", nil),
        ] as [(Substring, String?)])
    func whatAnImportLineNames(line: Substring, module: String?) {
        #expect(Self.importedModule(line) == module)
    }

    static func importedModule(_ line: Substring) -> String? {
        // Indented lines are texts in other languages.
        guard line.first != " " else { return nil }
        var words = line.split(separator: " ").map(String.init)
        while let word = words.first,
            word.hasPrefix("@") || ["public", "package", "internal", "private"].contains(word)
        {
            words.removeFirst()
        }
        guard words.first == "import", words.count > 1 else { return nil }
        let kinds: Set<String> = ["struct", "class", "enum", "func", "var", "let", "protocol", "typealias"]
        let name = kinds.contains(words[1]) && words.count > 2 ? words[2] : words[1]
        return String(name.split(separator: ".").first ?? "")
    }
}
