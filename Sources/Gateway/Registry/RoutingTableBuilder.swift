import CLinux
import Fleet
import Glibc

/// Makes a ``RoutingTable`` out of a snapshot: the control thread's work, in ordinary Swift.
struct RoutingTableBuilder {
    private enum Kind { case provider, instance, bare }

    private struct Draft {
        var kind: Kind
        var candidates: [Int32] = []
        var model: String?
        var id: String
    }

    private var drafts: [String: Draft] = [:]
    private var order: [String] = []

    private init() {}

    /// The table of a snapshot. `number` gives the number that measurements know a provider's name by.
    static func build(
        _ snapshot: RegistrySnapshot, serial: UInt64, directory: inout RunDirectory, number: (String) -> UInt16,
        modelNumber: (String) -> UInt16 = { _ in 0 }, tls: (Endpoint.TLS) -> UnsafeMutableRawPointer? = { _ in nil }
    ) -> RoutingTable {
        var builder = RoutingTableBuilder()
        return builder.build(snapshot, serial, &directory, number, modelNumber, tls)
    }

    private mutating func build(
        _ snapshot: RegistrySnapshot, _ serial: UInt64, _ directory: inout RunDirectory, _ number: (String) -> UInt16,
        _ modelNumber: (String) -> UInt16, _ tls: (Endpoint.TLS) -> UnsafeMutableRawPointer?
    ) -> RoutingTable {
        var arena = Arena()
        var runs: [RunRoute] = []
        var published: [(run: Int32, provider: String, entry: InstanceEntry)] = []
        for (index, provider) in snapshot.providers.enumerated() {
            for entry in provider.instances {
                let cell = directory.cell(of: entry.run, published: entry.published, table: serial)
                guard let endpoint = entry.endpoint else { continue }
                if entry.published { published.append((Int32(runs.count), provider.name, entry)) }
                runs.append(Self.route(entry, endpoint, cell, Int32(index), endpoint.tls.flatMap(tls), &arena))
            }
        }
        directory.retireOthers(than: serial)
        // The order of the contract: a selector found by an earlier rule is not looked for by a later one.
        for item in published {
            for model in item.entry.models {
                add(.provider, "\(item.provider)/\(model.id)", item.run, model.id, replaces: true)
            }
        }
        let listed = drafts.count
        let first = order.first
        for item in published {
            for model in item.entry.models {
                add(.instance, "\(item.entry.run.instance)/\(model.id)", item.run, model.id, replaces: true)
            }
        }
        for item in published {
            for model in item.entry.models { add(.bare, model.id, item.run, model.id, replaces: false) }
        }
        var candidates: [Int32] = []
        var targets: [Target] = []
        for key in order {
            let draft = drafts[key]!
            let stored = arena.store(key)
            targets.append(
                Target(
                    key: stored, hash: stored.hash, firstCandidate: Int32(candidates.count),
                    candidateCount: Int32(draft.candidates.count),
                    model: arena.store(draft.model.map { JSONString.encode($0) } ?? []),
                    modelNumber: modelNumber(draft.id)))
            candidates.append(contentsOf: draft.candidates)
        }
        let only = listed == 1 ? order.firstIndex(of: first!)! : -1
        let cards = ModelListing(snapshot)
        let masterKey = snapshot.settings.masterKey.map { arena.store($0.reveal()) }
        let openAI = arena.store(cards.openAI)
        let anthropic = arena.store(cards.anthropic)
        return RoutingTable(
            snapshot: snapshot, serial: serial, masterKey: masterKey, runs: runs, candidates: candidates,
            targets: targets, only: only, openAIModels: openAI, anthropicModels: anthropic,
            providerNumbers: snapshot.providers.map { number($0.name) }, arena: arena)
    }

    private mutating func add(_ kind: Kind, _ key: String, _ run: Int32, _ id: String, replaces: Bool) {
        if let draft = drafts[key] {
            guard draft.kind == kind, !draft.candidates.contains(run) else { return }
        } else {
            drafts[key] = Draft(kind: kind, model: replaces ? id : nil, id: id)
            order.append(key)
        }
        drafts[key]!.candidates.append(run)
    }

    private static func route(
        _ entry: InstanceEntry, _ endpoint: Endpoint, _ cell: RunPointer, _ provider: Int32,
        _ tls: UnsafeMutableRawPointer?, _ arena: inout Arena
    ) -> RunRoute {
        let address = arena.store(SocketAddress.bytes(of: endpoint.address))
        var lines = "host: \(clean(endpoint.host))\r\n"
        if let key = entry.apiKey { lines += "authorization: Bearer \(clean(key.reveal()))\r\n" }
        return RunRoute(
            cell: cell, name: arena.store(entry.run.instance), provider: provider, address: address,
            addressID: address.hash, lines: arena.store(lines), basePath: arena.store(clean(endpoint.basePath)),
            published: entry.published, listens: entry.state.listens, isTLS: endpoint.tls != nil, tls: tls,
            tlsName: terminated(endpoint.tls?.serverName ?? "", &arena))
    }

    /// A text with a nought behind it, for C.
    private static func terminated(_ text: String, _ arena: inout Arena) -> ByteView {
        let stored = arena.store(Array(text.utf8.filter { $0 != 0 }) + [0])
        return stored.slice(0, stored.count - 1)
    }

    /// Configuration's words without what would break a head: the configuration refuses them, this makes sure.
    private static func clean(_ text: String) -> String {
        String(decoding: text.utf8.filter { ($0 >= 0x20 && $0 != 0x7f) || $0 == 0x09 }, as: UTF8.self)
    }
}

extension InstanceState {
    /// Whether an instance in it has something that answers.
    var listens: Bool {
        switch self {
        case .warming, .ready, .unhealthy, .misconfigured, .draining, .stopping: return true
        case .stopped, .starting, .loading, .connecting, .backoff, .failed, .quarantined: return false
        }
    }
}
