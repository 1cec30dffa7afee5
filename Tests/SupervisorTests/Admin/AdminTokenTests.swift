import Fleet
import Glibc
import Testing

@testable import Supervisor

@Suite("Admin token")
struct AdminTokenTests {
    @Test("Is made once, 32 bytes, for the owner's eyes only")
    func made() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let state = "\(directory.path)/deep/state"
        let token = try AdminToken.load(file: nil, stateDirectory: state, masterKey: nil)
        #expect(token.secret.reveal().count == 43)
        #expect(token.secret.reveal().allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" })
        var status = stat()
        #expect(stat("\(state)/admin.token", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(SystemFile.names(in: state) == ["admin.token"])
        let again = try AdminToken.load(file: nil, stateDirectory: state, masterKey: nil)
        #expect(again.secret == token.secret)
    }

    @Test("Matches itself and nothing else")
    func matches() {
        let token = AdminToken(Secret("abc"))
        #expect(token.matches("abc"))
        for other in ["", "ab", "abcd", "abcabc", "abd", "ABC", "abc "] { #expect(!token.matches(other)) }
    }

    @Test("A configured file: one word, not the master key, never made")
    func configured() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        func load(_ file: String) throws -> String {
            try AdminToken.load(file: file, stateDirectory: directory.path, masterKey: Secret("master")).secret.reveal()
        }
        #expect(try load(directory.write("good", "  word\n")) == "word")
        let master = directory.write("master", "master\n")
        #expect(throws: AdminToken.Failure.isMasterKey(master)) { try load(master) }
        for (name, text) in [
            ("empty", ""), ("blank", " \n"), ("two", "a b"), ("long", String(repeating: "x", count: 5000)),
        ] {
            let file = directory.write(name, text)
            #expect(throws: AdminToken.Failure.malformed(file)) { try load(file) }
        }
        let missing = "\(directory.path)/missing"
        #expect(throws: AdminToken.Failure.self) { try load(missing) }
        #expect(access(missing, F_OK) != 0)
    }

    @Test("Base 64 for URLs", arguments: [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")])
    func base64(_ text: String, _ encoded: String) {
        #expect(Array(text.utf8).base64URL == encoded)
        #expect(([0xfb, 0xff] as [UInt8]).base64URL == "-_8")
    }
}
