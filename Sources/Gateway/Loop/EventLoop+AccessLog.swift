import CLinux
import Glibc

/// One line of JSON a request, where an access log is configured. Nothing a client writes goes into it but the id and
/// the `traceparent`, both of a checked form.
extension EventLoop {
    /// Keeps what the line needs of the head.
    func noteHead(_ client: ClientPointer) {
        let view = client.pointee.inbound.view
        client.pointee.trace = TraceParent()
        for index in 0..<client.pointee.head.fieldCount {
            guard headers.name(index, in: view).equalsIgnoringCase("traceparent") else { continue }
            client.pointee.trace = TraceParent(headers.value(index, in: view))
        }
    }

    /// Adds the line of a request that is over.
    func logAccess(_ client: ClientPointer, status: Int) {
        guard accessLines.count < AccessLog.limit else {
            LoopCounters.add(counters.pointee.droppedLines)
            return
        }
        var line = Array(#"{"time":""#.utf8)
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        line += Self.text(time)
        line += Array(#"","request_id":""#.utf8)
        client.pointee.requestID.withBytes { line += $0.array }
        if client.pointee.trace.isPresent { line += Array(#"","traceparent":""#.utf8) + client.pointee.trace.bytes }
        line += Array(#"","route":""#.utf8) + ByteView(client.pointee.route.pattern).array
        line += Array(#"","provider":"#.utf8) + providerName(client)
        line += Array(#","instance":"#.utf8)
        if let run = client.pointee.loggedRun {
            line += JSONString.encode(run.pointee.name)
        } else {
            line += Array("null".utf8)
        }
        line += Array(",\"status\":\(status),\"request_bytes\":\(client.pointee.loggedBody)".utf8)
        line += Array(",\"response_bytes\":\(client.pointee.responseBytes)".utf8)
        line += Array(",\"duration_ms\":\(Self.milliseconds(now &- client.pointee.startedAt))".utf8)
        if client.pointee.firstByteAt != 0 {
            let wait = client.pointee.firstByteAt &- client.pointee.startedAt
            line += Array(",\"first_byte_ms\":\(Self.milliseconds(wait))".utf8)
        }
        if client.pointee.prompted != (0, 0) {
            let (prompt, completion) = client.pointee.prompted
            line += Array(",\"prompt_tokens\":\(prompt),\"completion_tokens\":\(completion)".utf8)
        }
        accessLines += line
        accessLines += [0x7d, 0x0a]
    }

    /// Hands the lines of this turn to the control thread.
    func handOverLines() {
        let waiting = port.lines.withLock { lines in
            guard lines.count < AccessLog.limit else { return lines.count }
            lines += accessLines
            accessLines.removeAll(keepingCapacity: true)
            return lines.count
        }
        if accessLines.count >= AccessLog.limit { accessLines.removeAll() }
        if waiting > 64 << 10 { shared.wakeControl() }
    }

    private func providerName(_ client: ClientPointer) -> [UInt8] {
        let number = client.pointee.providerNumber
        guard number != 0, let index = table.providerNumbers.firstIndex(of: number) else { return Array("null".utf8) }
        return JSONString.encode(table.snapshot.providers[index].name)
    }

    private static func milliseconds(_ nanoseconds: UInt64) -> String {
        let micros = nanoseconds / 1000
        let rest = String(micros % 1000)
        return "\(micros / 1000)." + String(repeating: "0", count: 3 - rest.utf8.count) + rest
    }

    /// RFC 3339 in UTC with milliseconds.
    private static func text(_ time: timespec) -> [UInt8] {
        var seconds = time.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func digits(_ number: Int, _ count: Int) -> [UInt8] {
            let text = Array(String(number).utf8)
            return [UInt8](repeating: 0x30, count: max(0, count - text.count)) + text
        }
        return digits(Int(parts.tm_year) + 1900, 4) + [0x2d] + digits(Int(parts.tm_mon) + 1, 2) + [0x2d]
            + digits(Int(parts.tm_mday), 2) + [0x54] + digits(Int(parts.tm_hour), 2) + [0x3a]
            + digits(Int(parts.tm_min), 2) + [0x3a] + digits(Int(parts.tm_sec), 2) + [0x2e]
            + digits(time.tv_nsec / 1_000_000, 3) + [0x5a]
    }
}
