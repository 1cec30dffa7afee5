import Fleet

/// What a passthrough's name means: the provider of that name, else the instance, else every provider of that type. A body's
/// model narrows a type to the providers that know it, whether they serve it now or not.
struct PassthroughScope: Equatable {
    /// Which of the three.
    enum Kind { case provider, instance, type, nothing }

    /// Which of the three.
    let kind: Kind
    /// Whether it is an instance's name, too, as an attached provider's is: then it reaches one that is not published.
    let namesInstance: Bool
    /// Routes allowed beside the default ones.
    let allow: [String]
    /// The index of the provider whose reason is given where nothing of it can be reached: the first, or the first that
    /// knows the model.
    let provider: Int?
    /// How many instances it holds.
    let instances: Int
    private let name: String
    private let providers: Set<Int>

    /// Looks a name up.
    init(_ name: String, model: String? = nil, _ snapshot: RegistrySnapshot) {
        self.name = name
        let all = snapshot.providers
        if let index = all.firstIndex(where: { $0.name == name }) {
            kind = .provider
            namesInstance = all[index].hasInstance(name)
            providers = [index]
        } else if let index = all.firstIndex(where: { $0.hasInstance(name) }) {
            kind = .instance
            namesInstance = true
            providers = [index]
        } else {
            let matching = all.indices.filter { all[$0].type == name }
            kind = matching.isEmpty ? .nothing : .type
            namesInstance = false
            let knowing = matching.filter { index in model.map { all[index].knows($0) } ?? false }
            providers = Set(knowing.isEmpty ? matching : knowing)
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
