/// A set of a table's runs by their index.
struct RunSet {
    private var low: UInt64 = 0
    private var others: Set<Int> = []

    /// An empty set.
    init() {}

    /// Whether a run is in it.
    func contains(_ run: Int) -> Bool { run < 64 ? low &>> UInt64(run) & 1 != 0 : others.contains(run) }

    /// Puts a run into it.
    mutating func insert(_ run: Int) {
        if run < 64 { low |= 1 &<< UInt64(run) } else { others.insert(run) }
    }
}
