import Fleet

/// Who has which processors: a value. Counts never share one; explicit lists may overlap with other explicit lists
/// (the configuration has seen to it that their shares add up), never with counted ones.
public struct GPUAllotment: Sendable, Hashable {
    /// What an instance was given.
    public struct Grant: Sendable, Hashable {
        /// The processors, in order.
        public var devices: [GPU]
        /// Whether they were named, and so may be shared.
        public var isNamed: Bool
        /// As the configuration or the inventory names them, for `CUDA_VISIBLE_DEVICES`; nil where nothing is to be
        /// said about devices, as there are none.
        public var visible: [String]?
    }

    /// Why there is no grant.
    public enum Refusal: Error, Sendable, Hashable {
        /// Never possible on this machine; the sentence says why.
        case impossible(String)
        /// Not now; the sentence says who has them.
        case taken(String)
    }

    /// The machine's processors.
    public let devices: [GPU]
    private var grants: [String: Grant] = [:]

    /// Nobody has anything.
    public init(devices: [GPU]) { self.devices = devices }

    /// What an instance has.
    public func grant(of instance: String) -> Grant? { grants[instance] }

    /// Gives an instance what it asks for; whatever it had before is given back first.
    public mutating func allot(_ request: LaunchConfiguration.GPURequest, to instance: String) -> Result<Grant, Refusal>
    {
        release(instance)
        let result: Result<Grant, Refusal>
        switch request {
        case .automatic: result = count(devices.isEmpty ? 0 : 1)
        case .count(let wanted): result = count(wanted)
        case .devices(let names): result = named(names)
        }
        if case .success(let grant) = result { grants[instance] = grant }
        return result
    }

    /// Takes back what an instance has.
    public mutating func release(_ instance: String) { grants[instance] = nil }

    /// Gives a second run of an instance what it asks for, where nobody has any of it: not where the devices were named and
    /// are shared, since the shares of all who live are full; nor without an inventory, where nothing is known.
    public mutating func reserve(_ request: LaunchConfiguration.GPURequest, for instance: String) -> Bool {
        if case .devices(let names) = request, !names.isEmpty,
            devices.isEmpty || names.contains(where: { $0.hasPrefix("MIG-") })
        {
            return false
        }
        let taken = Set(grants.filter { $0.key != instance }.values.flatMap(\.devices))
        guard case .success(let grant) = allot(request, to: instance) else { return false }
        guard taken.isDisjoint(with: grant.devices) else {
            release(instance)
            return false
        }
        return true
    }

    private func count(_ wanted: Int) -> Result<Grant, Refusal> {
        if wanted == 0 {
            // Nothing to hide where there is nothing.
            return .success(Grant(devices: [], isNamed: false, visible: devices.isEmpty ? nil : []))
        }
        guard wanted <= devices.count else {
            return .failure(.impossible("\(wanted) GPUs are asked for, this machine has \(devices.count)"))
        }
        let taken = Set(grants.values.flatMap { $0.devices })
        let free = devices.filter { !taken.contains($0) }
        guard free.count >= wanted else {
            let holders = grants.filter { !$0.value.devices.isEmpty }.keys.sorted().joined(separator: ", ")
            return .failure(.taken("\(wanted) GPUs are asked for, \(free.count) are free; \(holders) have the others"))
        }
        let chosen = Array(free.prefix(wanted))
        return .success(Grant(devices: chosen, isNamed: false, visible: chosen.map { "\($0.index)" }))
    }

    private func named(_ names: [String]) -> Result<Grant, Refusal> {
        if devices.isEmpty {
            // Without an inventory the user is believed.
            return .success(Grant(devices: [], isNamed: true, visible: names))
        }
        var chosen: [GPU] = []
        // A slice of a processor is the user's to keep apart.
        for name in names where !name.hasPrefix("MIG-") {
            guard let device = devices.first(where: { "\($0.index)" == name || $0.uuid == name }) else {
                let known = devices.map { "\($0.index)" }.joined(separator: ", ")
                return .failure(.impossible("there is no GPU \(name) on this machine: it has \(known)"))
            }
            if !chosen.contains(device) { chosen.append(device) }
        }
        for (holder, grant) in grants.sorted(by: { $0.key < $1.key }) where !grant.isNamed {
            if let shared = grant.devices.first(where: { chosen.contains($0) }) {
                return .failure(.taken("GPU \(shared.index) is \(holder)'s"))
            }
        }
        return .success(Grant(devices: chosen, isNamed: true, visible: names))
    }
}
