import Fleet
import Health

/// What an attached instance's machine says, done: probes and look-ups, nothing else.
extension InstanceOwner {
    /// Between two look-ups of a name.
    static let resolveInterval: Duration = .seconds(10)

    func perform(
        _ action: AttachedLifecycle.Action, _ lifecycle: AttachedLifecycle, _ attach: AttachConfiguration,
        _ now: Instant
    ) {
        switch action {
        case .record:
            retiredEndpoints = retiredEndpoints.filter { lifecycle.retired.contains($0.key) }
            emit(now)
        case .beginHealth(let run): beginHealth(run, now)
        case .endHealth: monitor = nil
        case .resolve: resolve()
        case .answer(let waiter, let failure): answer(waiter, failure)
        }
    }

    /// It is to be reached somewhere else: what is in flight at the old address goes on there.
    func moved() {
        isMoved = true
        isResolving = false
        addressing += 1
        resolve()
    }

    /// Looks the name up, unless that is under way; a Unix socket needs no look-up.
    func resolve() {
        guard case .attached(let lifecycle, let attach) = machine, !lifecycle.isFinal else {
            resolveAt = nil
            return
        }
        if let path = attach.baseURL.unixPath {
            resolveAt = nil
            if endpoint == nil || isMoved { resolved(.addresses([.unix(path: path)]), services.clock.now()) }
            return
        }
        resolveAt = services.clock.now() + Self.resolveInterval
        guard !isResolving else { return }
        isResolving = true
        let resolver = services.resolver
        let inbox = inbox
        let url = attach.baseURL
        let addressing = addressing
        Task { inbox.yield(.resolved(addressing, await resolver.resolve(host: url.host, port: url.port))) }
    }

    func resolved(_ resolution: Resolution, _ now: Instant) {
        isResolving = false
        guard case .attached(let lifecycle, let attach) = machine, !lifecycle.isFinal else { return }
        switch resolution {
        case .failure(let why): feed(.attached(.unresolved(why)))
        case .addresses(let addresses):
            guard let address = choose(addresses) else { return }
            if let endpoint, lifecycle.run > 0 { retiredEndpoints[lifecycle.run] = endpoint }
            let url = attach.baseURL
            endpoint = Endpoint(
                address: address, host: url.authority, basePath: url.path,
                tls: url.isTLS ? Endpoint.TLS(serverName: url.host, caFile: attach.caFile) : nil)
            isUnreachable = false
            isMoved = false
            inflight = 0
            feed(.attached(.addressed))
        }
    }

    /// The address to go to; nil to stay. A name with several addresses (round-robin) is stayed with as long as its
    /// present one is among them and answers.
    private func choose(_ addresses: [Endpoint.Address]) -> Endpoint.Address? {
        guard !isMoved, let current = endpoint?.address, let index = addresses.firstIndex(of: current) else {
            return addresses.first
        }
        guard isUnreachable, addresses.count > 1 else { return nil }
        return addresses[(index + 1) % addresses.count]
    }
}
