extension EventLoop {
    /// Where origins are configured: finds out what the request's is allowed. True when the request was a preflight,
    /// which is answered here, without a key: browsers send none with it.
    func answerCrossOrigin(_ client: ClientPointer) -> Bool {
        let head = client.pointee.head
        guard head.origin >= 0 else { return false }
        let view = client.pointee.inbound.view
        let grant = table.crossOrigin.grant(headers.value(head.origin, in: view))
        client.pointee.grant = keep(grant)
        guard head.method == .options else { return false }
        var method = ByteView("")
        var fields = ByteView("")
        for index in 0..<head.fieldCount {
            let name = headers.name(index, in: view)
            if name.equalsIgnoringCase("access-control-request-method") { method = headers.value(index, in: view) }
            if name.equalsIgnoringCase("access-control-request-headers") { fields = headers.value(index, in: view) }
        }
        guard !method.isEmpty else { return false }
        let lines = CrossOrigin.preflightLines(grant, headers: fields)
        client.pointee.grant = 0
        respondEmpty(client, lines)
        return true
    }

    /// The lines for the client's origin; none where it sent none, or none is configured.
    func crossOriginLines(_ client: ClientPointer) -> [UInt8] {
        client.pointee.grant == 0 ? [] : CrossOrigin.lines(grants[Int(client.pointee.grant) - 1])
    }

    /// A number for what an origin gets: there are as many as have ever been configured.
    private func keep(_ grant: CrossOrigin.Grant) -> UInt16 {
        if let index = grants.firstIndex(of: grant) { return UInt16(index + 1) }
        guard grants.count < Int(UInt16.max) - 1 else { return 0 }
        grants.append(grant)
        return UInt16(grants.count)
    }
}
