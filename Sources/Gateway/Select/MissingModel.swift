import Fleet

/// What is said of a selector that no published instance serves.
enum MissingModel: Equatable {
    /// Nobody ever served it: 404.
    case unknown
    /// Known, or of a provider that is not ready yet: 503. The index is the provider's in the snapshot.
    case unavailable(provider: Int)

    /// Judges a selector by a snapshot in which no published instance serves it.
    static func judge(_ selector: String, _ snapshot: RegistrySnapshot) -> MissingModel {
        if let slash = selector.firstIndex(of: "/") {
            let name = String(selector[..<slash])
            let id = String(selector[selector.index(after: slash)...])
            for (index, provider) in snapshot.providers.enumerated() {
                guard provider.name == name || provider.hasInstance(name) else { continue }
                if !provider.settled || provider.knows(id) { return .unavailable(provider: index) }
            }
        }
        for (index, provider) in snapshot.providers.enumerated() where provider.knows(selector) {
            return .unavailable(provider: index)
        }
        // A bare id of a provider that never told its models cannot be called unknown while nothing has settled.
        let hasSettled = snapshot.providers.contains { $0.settled }
        if !hasSettled, !snapshot.providers.isEmpty {
            return .unavailable(provider: snapshot.providers.firstIndex { $0.loading } ?? 0)
        }
        return .unknown
    }
}

extension ProviderEntry {
    /// Whether it serves a model of that id, or has.
    func knows(_ id: String) -> Bool {
        knownModels.contains(id) || instances.contains { $0.models.contains { $0.id == id } }
    }
}
