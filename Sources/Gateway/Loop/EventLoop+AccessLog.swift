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
        put(#"{"time":""#)
        putTime()
        put(#"","request_id":""#)
        client.pointee.requestID.withBytes { put($0) }
        if client.pointee.trace.isPresent {
            put(#"","traceparent":""#)
            client.pointee.trace.withBytes { put($0) }
        }
        put(#"","route":""#)
        put(ByteView(client.pointee.route.pattern))
        put(#"","provider":"#)
        putName(providerName(client))
        put(#","instance":"#)
        putName(client.pointee.loggedRun?.pointee.name)
        put(#","status":"#)
        put(status)
        put(#","request_bytes":"#)
        put(client.pointee.loggedBody)
        put(#","response_bytes":"#)
        put(client.pointee.responseBytes)
        put(#","duration_ms":"#)
        putMilliseconds(now &- client.pointee.startedAt)
        if client.pointee.firstByteAt != 0 {
            put(#","first_byte_ms":"#)
            putMilliseconds(client.pointee.firstByteAt &- client.pointee.startedAt)
        }
        if client.pointee.prompted != (0, 0) {
            put(#","prompt_tokens":"#)
            put(Int(client.pointee.prompted.0))
            put(#","completion_tokens":"#)
            put(Int(client.pointee.prompted.1))
        }
        put("}\n")
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

    private func providerName(_ client: ClientPointer) -> String? {
        let number = client.pointee.providerNumber
        guard number != 0, let index = table.providerNumbers.firstIndex(of: number) else { return nil }
        return table.snapshot.providers[index].name
    }

    // MARK: A line's parts, written behind the others without memory of their own

    private func put(_ view: ByteView) {
        accessLines.append(contentsOf: UnsafeBufferPointer(start: view.base, count: view.count))
    }

    private func put(_ text: StaticString) { put(ByteView(text)) }

    /// A number in decimal, with at least so many digits.
    private func put(_ number: Int, digits: Int = 1) {
        var room: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &room) { raw in
            let bytes = raw.bindMemory(to: UInt8.self)
            var at = bytes.count
            var rest = UInt(max(0, number))
            repeat {
                at &-= 1
                bytes[at] = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
                rest /= 10
            } while rest > 0 || bytes.count &- at < digits
            put(ByteView(UnsafePointer(bytes.baseAddress!) + at, bytes.count &- at))
        }
    }

    /// A provider's or an instance's name, of which nothing is to be escaped (`[a-z0-9-]`); null for none.
    private func putName(_ name: String?) {
        guard let name else { return put("null") }
        accessLines.append(0x22)
        accessLines.append(contentsOf: name.utf8)
        accessLines.append(0x22)
    }

    private func putMilliseconds(_ nanoseconds: UInt64) {
        let micros = Int(truncatingIfNeeded: nanoseconds / 1000)
        put(micros / 1000)
        accessLines.append(0x2e)
        put(micros % 1000, digits: 3)
    }

    /// RFC 3339 in UTC with milliseconds.
    private func putTime() {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var seconds = time.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        put(Int(parts.tm_year) + 1900, digits: 4)
        put("-")
        put(Int(parts.tm_mon) + 1, digits: 2)
        put("-")
        put(Int(parts.tm_mday), digits: 2)
        put("T")
        put(Int(parts.tm_hour), digits: 2)
        put(":")
        put(Int(parts.tm_min), digits: 2)
        put(":")
        put(Int(parts.tm_sec), digits: 2)
        put(".")
        put(time.tv_nsec / 1_000_000, digits: 3)
        put("Z")
    }
}
