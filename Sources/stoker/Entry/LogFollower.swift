import Supervisor

/// Follows an instance's log by asking for what is new of it, across runs: `If-Range` makes the server answer with the
/// whole of another file when the instance was started again.
struct LogFollower {
    /// The log's address.
    private let target: String
    /// The file's name for `If-Range`.
    private var tag: String
    /// How much of it is read.
    private var offset: Int

    /// Goes on where the first answer ended.
    init(target: String, first: AdminClient.Answer) {
        self.target = target
        tag = first.headers["etag"] ?? ""
        offset = (first.headers["x-stoker-log-offset"].flatMap { Int($0) } ?? 0) + first.body.count
    }

    /// Asks once and writes what is new; true when there was something.
    mutating func step(
        ask: (_ target: String, _ headers: [(String, String)]) throws -> AdminClient.Answer,
        write: ([UInt8]) -> Void
    ) throws -> Bool {
        let headers = [("Range", "bytes=\(offset)-"), ("If-Range", tag)]
        let answer: AdminClient.Answer
        do {
            answer = try ask(target, headers)
        } catch let failure as CommandFailure where failure.status == .noDaemon {
            // Between two daemons: whoever follows goes on following.
            return false
        }
        switch answer.status {
        case 206:
            take(answer, write)
            return !answer.body.isEmpty
        case 200:
            // Another run. What the old one still wrote first.
            if let rest = try? ask(target + "?run=previous", headers), rest.status == 206 { write(rest.body) }
            write(Array("--- started again ---\n".utf8))
            take(answer, write)
            return true
        default:
            // 416: nothing new. 404: between two runs.
            return false
        }
    }

    private mutating func take(_ answer: AdminClient.Answer, _ write: ([UInt8]) -> Void) {
        tag = answer.headers["etag"] ?? tag
        offset = (answer.headers["x-stoker-log-offset"].flatMap { Int($0) } ?? 0) + answer.body.count
        write(answer.body)
    }
}
