import Fleet
import Synchronization

extension EventLoop {
    /// Finds the instances that serve what the body's `model` names, and sends the request to one.
    func select(_ client: ClientPointer) {
        switch target(client) {
        case .missing:
            let text: StaticString =
                "The request has no `model`. It can be left out only where a single one is served: see GET /v1/models."
            refuse(client, .invalidRequest, text: ByteView(text).array, param: "model")
        case .unknown: refuseMissing(client, modelText(client))
        case .found(let index):
            shared.budget.count(second: now / 1_000_000_000)
            if client.pointee.route == .responses, client.pointee.scanner.previousResponse != nil {
                client.pointee.exchange.asksInTurn = makerRun(client, target: index) == nil
            }
            let choice = choose(client, target: index)
            dispatch(client, choice)
        }
    }

    /// What a request's body names.
    enum Selected {
        case found(Int)
        case unknown
        case missing
    }

    /// The target of a request's model; the body must be whole.
    func target(_ client: ClientPointer) -> Selected {
        guard let place = modelPlace(client) else {
            client.pointee.modelStart = 0
            client.pointee.modelEnd = 0
            guard table.only >= 0 else { return .missing }
            client.pointee.modelNumber = table.targets[table.only].modelNumber
            return .found(table.only)
        }
        let isJSON = client.pointee.route.body == .json
        let view = client.pointee.inbound.view
        let from = client.pointee.bodyStart + place.start
        let to = client.pointee.bodyStart + place.end
        let value = isJSON ? view.slice(from + 1, to - 1) : view.slice(from, to)
        var index = -1
        if place.hasEscapes {
            guard value.count <= Self.readSize else { return .unknown }
            let count = JSONString.unescape(value, into: scratch)
            index = table.find(ByteView(UnsafePointer(scratch), count))
        } else {
            index = table.find(value)
        }
        guard index >= 0 else { return .unknown }
        client.pointee.target = index
        client.pointee.targetSerial = table.serial
        client.pointee.modelNumber = table.targets[index].modelNumber
        let replaces = !table.targets[index].model.isEmpty
        client.pointee.modelStart = replaces ? from : 0
        client.pointee.modelEnd = replaces ? to : 0
        return .found(index)
    }

    private func modelPlace(_ client: ClientPointer) -> ModelScanner.Place? {
        client.pointee.route.body == .json ? client.pointee.scanner.model : client.pointee.multipartModel
    }

    private func modelText(_ client: ClientPointer) -> String {
        guard let place = modelPlace(client) else { return "" }
        let view = client.pointee.inbound.view
        let start = client.pointee.bodyStart
        guard client.pointee.route.body == .json else {
            return view.slice(start + place.start, start + place.end).string
        }
        let inner = view.slice(start + place.start + 1, start + place.end - 1)
        guard place.hasEscapes else { return inner.string }
        return String(
            decoding: [UInt8](unsafeUninitializedCapacity: inner.count + 4) { buffer, count in
                count = JSONString.unescape(inner, into: buffer.baseAddress!)
            }, as: UTF8.self)
    }

    /// One of a target's runs, not the one tried before.
    func choose(_ client: ClientPointer, target index: Int) -> Chooser.Choice {
        let target = table.targets[index]
        var chooser = Chooser(limit: limits.streamsPerInstance)
        let mayWait = client.pointee.phase != .queued
        if client.pointee.route == .responses, let run = wantedRun(client, target: index) {
            consider(run, &chooser, tried: client.pointee.triedRun, mayWait: mayWait)
            if client.pointee.exchange.asksInTurn || chooser.choice != .none { return chooser.choice }
        } else if client.pointee.exchange.asksInTurn {
            return .none
        }
        for position in 0..<Int(target.candidateCount) {
            let run = Int(table.candidates[Int(target.firstCandidate) + position])
            consider(run, &chooser, tried: client.pointee.triedRun, mayWait: mayWait)
        }
        return chooser.choice
    }

    /// Shows a candidate to a chooser. `mayWait` is of a request that came just now: it does not go before those that
    /// wait for this run already.
    @inline(__always) func consider(_ run: Int, _ chooser: inout Chooser, tried: RunPointer?, mayWait: Bool) {
        let cell = table.runs[run].cell
        if cell == tried { return }
        let breaker = cell.pointee.breaker.load(ordering: .relaxed)
        let isTrusted = breaker == 0 || Breaker(raw: breaker).mayTry(at: now / 1_000_000)
        let isClaimed = chooser.limit > 0 && mayWait && isWaitedFor(cell)
        chooser.consider(
            run, inflight: cell.pointee.inflight.load(ordering: .relaxed),
            age: now &- cell.pointee.publishedAt.load(ordering: .relaxed), isTrusted: isTrusted, isClaimed: isClaimed,
            random: &random)
    }

    /// The one run that will do for a request that continues a response: its maker, or the next to be asked.
    func wantedRun(_ client: ClientPointer, target index: Int) -> Int? {
        guard client.pointee.exchange.asksInTurn else { return makerRun(client, target: index) }
        let target = table.targets[index]
        guard client.pointee.asked < target.candidateCount else { return nil }
        return Int(table.candidates[Int(target.firstCandidate + client.pointee.asked)])
    }

    /// The run of a target that keeps the response which this request continues.
    func makerRun(_ client: ClientPointer, target index: Int) -> Int? {
        guard let maker = rememberedMaker(client) else { return nil }
        let target = table.targets[index]
        for position in 0..<Int(target.candidateCount) {
            let run = Int(table.candidates[Int(target.firstCandidate) + position])
            if table.runs[run].cell != client.pointee.triedRun, table.runs[run].name.array == maker { return run }
        }
        return nil
    }

    /// Sends the request to the chosen run, lets it wait, or says why there is none.
    func dispatch(_ client: ClientPointer, _ choice: Chooser.Choice) {
        var choice = choice
        // Another loop may be faster at a run's last place: then it is chosen anew.
        for _ in 0..<8 {
            if let place = take(client, choice) {
                occupy(client, place)
                return connect(client, place.run, fresh: false)
            }
            if choice == .full || choice == .none { break }
            choice = alternative(client)
        }
        if choice == .none { return refuse(client, .modelUnavailable) }
        wait(client)
    }

    /// Another run for a request that is to be tried again, or none.
    func alternative(_ client: ClientPointer) -> Chooser.Choice {
        switch client.pointee.exchange.kind {
        case .inquiry: return nextAsked(client)
        case .passthrough: return choosePassthrough(client)
        case .routed, .upload:
            guard case .found(let index) = target(client), !isItsMakers(client) else { return .none }
            return choose(client, target: index)
        }
    }

    /// Whether a request continues a response that the run which was tried has made: no other one knows it.
    private func isItsMakers(_ client: ClientPointer) -> Bool {
        guard client.pointee.route == .responses, !client.pointee.exchange.asksInTurn,
            let tried = client.pointee.triedRun,
            let maker = rememberedMaker(client)
        else { return false }
        return tried.pointee.label.array == maker
    }

    /// The instance that made the response which a request continues, where it is remembered.
    private func rememberedMaker(_ client: ClientPointer) -> [UInt8]? {
        guard let place = client.pointee.scanner.previousResponse, !place.hasEscapes else { return nil }
        let start = client.pointee.bodyStart
        let view = client.pointee.inbound.view
        return shared.responses.maker(of: view.slice(start + place.start + 1, start + place.end - 1).array)
    }
}
