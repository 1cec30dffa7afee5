import Fleet
import Synchronization

extension EventLoop {
    /// `/p/{name}/{path}`: judged before the body is read.
    func beginPassthrough(_ client: ClientPointer) {
        let head = client.pointee.head
        let view = client.pointee.inbound.view
        let path = view.slice(head.pathStart, head.pathStart + head.pathLength)
        let parsed: PassthroughPath
        do {
            parsed = try PassthroughPath(path.dropping(3))
        } catch {
            return refuse(client, error == .invalid ? .invalidPath : .unknownRoute)
        }
        client.pointee.dialect = parsed.dialect
        let name = String(decoding: parsed.name, as: UTF8.self)
        let scope = PassthroughScope(name, table.snapshot)
        guard scope.kind != .nothing else {
            let text = "No provider, instance or type is named `\(name.prefix(100))` here."
            return refuse(client, .providerNotFound, text: Array(text.utf8))
        }
        guard parsed.isAllowed(head.method, by: scope.allow) else {
            let text =
                "This route is not passed through. An operator can allow it: passthrough_allow: "
                + "[\"\(parsed.entry(head.method))\"]."
            return refuse(client, .routeNotAllowed, text: Array(text.utf8))
        }
        if parsed.isAdapterChange, scope.kind != .instance, scope.instances > 1 {
            let text = "Adapters are loaded per instance: name one of the \(scope.instances) instances in the path."
            return refuse(client, .invalidRequest, text: Array(text.utf8))
        }
        client.pointee.passthrough = keep(parsed)
        client.pointee.exchange.kind = .passthrough
        let kind = ContentKind.of(head, view, headers)
        client.pointee.scansBody = kind == .json && head.hasBody
        if head.method == .post, table.masterKey == nil, kind != .json, kind != .multipart {
            return refuse(client, .unsupportedMediaType)
        }
        // A POST may do without a body and without saying so: `curl -X POST …/sleep`.
        let isBare = head.contentLength < 0 && !head.isChunked
        if head.method == .post && !isBare || head.hasBody { return beginBody(client) }
        selectPassthrough(client)
    }

    /// The body is whole, or there is none: to one of the instances that the name means.
    func selectPassthrough(_ client: ClientPointer) {
        shared.budget.count(second: now / 1_000_000_000)
        switch choosePassthrough(client) {
        case .none:
            let scope = passthroughScope(client)
            guard let provider = scope.provider else { return refuse(client, .providerNotFound) }
            refuseUnavailable(client, provider: provider, "`\(passthroughName(client))`")
        case let choice: dispatch(client, choice)
        }
    }

    private func passthroughScope(_ client: ClientPointer) -> PassthroughScope {
        let model = narrowingModel(client).map { String(decoding: $0, as: UTF8.self) }
        return PassthroughScope(passthroughName(client), model: model, table.snapshot)
    }

    private func passthroughName(_ client: ClientPointer) -> String {
        guard let path = path(client) else { return "" }
        return String(decoding: path.name, as: UTF8.self)
    }

    /// What a passthrough request asks for.
    func path(_ client: ClientPointer) -> PassthroughPath? {
        client.pointee.passthrough < 0 ? nil : passthroughs[Int(client.pointee.passthrough)]
    }

    /// A run within the name's scope: of those that serve the body's model, if any does.
    func choosePassthrough(_ client: ClientPointer) -> Chooser.Choice {
        let limit = streamLimit(client)
        var chooser = Chooser(limit: limit)
        for run in passthroughRuns(client) {
            consider(run, &chooser, tried: client.pointee.triedRun, mayWait: client.pointee.phase != .queued)
        }
        return chooser.choice
    }

    /// The runs within the name's scope: of those that serve the body's model, if any does.
    func passthroughRuns(_ client: ClientPointer) -> [Int] {
        let scope = passthroughScope(client)
        let within = (0..<table.runCount).filter { run in
            let route = table.runs[run]
            guard scope.holds(instance: route.name.string, provider: Int(route.provider)) else { return false }
            return route.published || (scope.namesInstance && route.listens && !hasPublished(route.name))
        }
        guard let model = narrowingModel(client) else { return within }
        let serving = within.filter { serves(table.runs[$0].name, model) }
        return serving.isEmpty ? within : serving
    }

    private func hasPublished(_ instance: ByteView) -> Bool {
        (0..<table.runCount).contains { table.runs[$0].published && table.runs[$0].name.equals(instance) }
    }

    private func serves(_ instance: ByteView, _ model: [UInt8]) -> Bool {
        var key = instance.array + [0x2f] + model
        return key.withUnsafeMutableBufferPointer { table.find(ByteView($0.baseAddress!, $0.count)) >= 0 }
    }

    private func narrowingModel(_ client: ClientPointer) -> [UInt8]? {
        guard client.pointee.scansBody, let place = client.pointee.scanner.model else { return nil }
        let start = client.pointee.bodyStart
        let inner = client.pointee.inbound.view.slice(start + place.start + 1, start + place.end - 1)
        return [UInt8](unsafeUninitializedCapacity: inner.count + 4) { buffer, count in
            count = JSONString.unescape(inner, into: buffer.baseAddress!)
        }
    }

    private func keep(_ path: PassthroughPath) -> Int32 {
        if let free = freePassthroughs.popLast() {
            passthroughs[Int(free)] = path
            return free
        }
        passthroughs.append(path)
        return Int32(passthroughs.count - 1)
    }

    /// Forgets what a passthrough asked for.
    func releasePassthrough(_ client: ClientPointer) {
        guard client.pointee.passthrough >= 0 else { return }
        passthroughs[Int(client.pointee.passthrough)] = nil
        freePassthroughs.append(client.pointee.passthrough)
        client.pointee.passthrough = -1
    }

    /// `GET /v1/responses/{id}` and its cancel: to the instance that made it, or to each in turn.
    func beginInquiry(_ client: ClientPointer) {
        client.pointee.exchange.kind = .inquiry
        client.pointee.asked = 0
        client.pointee.dialect = .openAI
        let head = client.pointee.head
        guard head.contentLength <= 0, !head.isChunked else {
            return refuse(client, .invalidRequest, "This route takes no body.")
        }
        let path = client.pointee.inbound.view.slice(head.pathStart, head.pathStart + head.pathLength)
        let rest = path.dropping(14)
        for index in 0..<rest.count where rest[index] == 0x25 || rest[index] == 0x5c {
            return refuse(client, .invalidPath)
        }
        let id = rest.slice(0, rest.firstIndex(of: 0x2f) ?? rest.count)
        guard !id.equals("."), !id.equals("..") else { return refuse(client, .invalidPath) }
        // One that drains, or is doubted, keeps what it has made.
        if let maker = shared.responses.maker(of: id.array), let run = run(of: maker) {
            // Nobody else can know it.
            client.pointee.asked = .max
            return dispatch(client, .run(run))
        }
        let choice = nextAsked(client)
        if choice == .none {
            guard let provider = table.snapshot.providers.indices.first else {
                return refuse(client, .responseNotFound)
            }
            return refuseUnavailable(client, provider: provider, "The response")
        }
        dispatch(client, choice)
    }

    /// An instance's run: the published one, else one that can be reached.
    private func run(of instance: [UInt8]) -> Int? {
        let runs = (0..<table.runCount).filter { table.runs[$0].name.array == instance }
        return runs.first { table.runs[$0].published } ?? runs.first
    }

    /// The next published run of the table that has not been asked.
    func nextAsked(_ client: ClientPointer) -> Chooser.Choice {
        var position = Int(client.pointee.asked)
        while position < table.runCount {
            if table.runs[position].published {
                client.pointee.asked = Int32(position + 1)
                return .run(position)
            }
            position += 1
        }
        return .none
    }
}
