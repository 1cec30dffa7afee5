import Fleet

/// Two owners of one instance: which record speaks for it, and which run is published.
extension RegistryReduction {
    /// The record that speaks for each instance: of two owners the newer one's as soon as it is published. The other's run
    /// is in its status.
    var records: [String: InstanceRecord] {
        generations.compactMapValues { records in
            guard let speaker = Self.speaker(records) else { return nil }
            guard var record = records[speaker] else { return nil }
            record.status.otherRuns = records.sorted { $0.key < $1.key }.filter { $0.key != speaker }.map { other in
                OtherRun(other.value.status, inflight: other.value.entries.reduce(0) { $0 + inflight(on: $1.run) })
            }
            return record
        }
    }

    static func speaker(_ records: [Int: InstanceRecord]) -> Int? {
        records.keys.sorted(by: >).first { records[$0]?.entries.contains(where: \.published) == true }
            ?? records.keys.min()
    }

    /// What the gateways may know of an instance: of several runs that are offered the newest is published and no other,
    /// so the snapshot that publishes a replacement drains what it replaces.
    static func entries(_ records: [Int: InstanceRecord]) -> [InstanceEntry] {
        let speaker = speaker(records)
        return records.sorted { $0.key < $1.key }.flatMap { generation, record in
            record.entries.map { entry in
                var entry = entry
                if generation != speaker { entry.published = false }
                return entry
            }
        }
    }
}
