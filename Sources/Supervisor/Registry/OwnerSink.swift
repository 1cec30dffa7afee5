/// The registry as one of an instance's owners sees it.
struct OwnerSink: InstanceSink {
    let registry: Registry
    /// Which of the instance's owners.
    let generation: Int
    /// Sees each record first.
    let observe: @Sendable (InstanceRecord) -> Void

    func record(_ record: InstanceRecord) async {
        observe(record)
        await registry.record(record, generation: generation)
    }

    func forget(instance: String) async { await registry.forget(instance: instance, generation: generation) }
}
