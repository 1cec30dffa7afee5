import Fleet

/// What a passthrough's name means: the provider of that name, else the instance, else every provider of that type.
struct PassthroughScope: Equatable {
    /// Which of the three.
    enum Kind { case provider, instance, type, nothing }

    /// Which of the three.
    let kind: Kind
    /// Routes allowed beside the default ones.
    let allow: [String]
    /// The first provider's index, for its reason.
    let provider: Int?
    /// How many instances it holds.
    let instances: Int
    private let name: String
    private let providers: Set<Int>

    /// Looks a name up.
    init(_ name: String, _ snapshot: RegistrySnapshot) {
        self.name = name
        let all = snapshot.providers
        if let index = all.firstIndex(where: { $0.name == name }) {
            kind = .provider
            providers = [index]
        } else if let index = all.firstIndex(where: { $0.hasInstance(name) }) {
            kind = .instance
            providers = [index]
        } else {
            let matching = all.indices.filter { all[$0].type == name }
            kind = matching.isEmpty ? .nothing : .type
            providers = Set(matching)
        }
        provider = providers.min()
        // An entry allows what it names at its own provider: a scope of several allows what all of them do.
        let lists = providers.map { all[$0].passthroughAllow }
        allow = lists.first?.filter { entry in lists.allSatisfy { $0.contains(entry) } } ?? []
        let count = providers.reduce(0) { $0 + Set(all[$1].instances.map(\.run.instance)).count }
        instances = kind == .instance ? 1 : count
    }

    /// Whether an instance of a provider belongs to it.
    func holds(instance: String, provider: Int) -> Bool {
        providers.contains(provider) && (kind != .instance || instance == name)
    }
}
