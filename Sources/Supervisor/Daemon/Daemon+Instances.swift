import Fleet

extension Daemon {
    /// Finishes a stop that an earlier life was told of and did not come to the end of: everything of it ends first.
    func finishEarlierStop() async {
        let mark = StopMark(state.directories)
        guard mark.isSet else { return }
        await endLeftovers(keeping: [])
        mark.clear()
    }

    /// Ends what an earlier life left of all but these instances' runs.
    func endLeftovers(keeping keys: Set<String>) async {
        for problem in await spawner.sweep(keeping: keys) {
            notices.append(problem)
            logger.error("something of an earlier life does not end", metadata: ["detail": "\(problem)"])
        }
    }

    /// Makes the instances of a provider and lets them begin.
    func add(_ provider: ProviderConfiguration) async {
        for name in provider.instanceNames { await add(name, of: provider) }
    }

    func add(_ name: String, of provider: ProviderConfiguration) async {
        var plan = InstancePlan(name: name, number: number(for: name), provider: provider)
        takeUp(&plan, published: await registry.inherited(name)?.run.run)
        let (owner, generation) = await makeOwner(plan)
        plans[name] = plan
        owners[name] = owner
        generations[name] = generation
        await owner.begin(
            wanted: wishes[name] != .stop, inherited: registry.inherited(name),
            memory: earlierMemories[name])
        // Before it is found or started: it is not published for a moment first.
        if wishes[name] == .drain { Task { try? await owner.act(.drain) } }
    }

    /// Lets a plan be of the run that an earlier life left, see ``LeftRun/choose(_:published:configured:earlier:)``; a
    /// reload changes it where that is of an earlier configuration.
    private func takeUp(_ plan: inout InstancePlan, published: UInt64?) {
        let name = plan.name
        let earlier = earlierConfigurations.compactMap { configuration in
            configuration.providers.first { $0.instanceNames.contains(name) }
        }
        let choice = LeftRun.choose(
            spawner.left(of: name), published: published, configured: plan.provider, earlier: earlier)
        guard let choice else { return }
        plan.slot = choice.run.slot
        guard let provider = choice.provider else { return }
        if provider != plan.provider { isBehind = true }
        plan.leftRun = choice.run.run
        plan.provider = provider
    }

    /// An owner that is known to the registry; nothing happens before it begins.
    func makeOwner(
        _ plan: InstancePlan, earlierRuns: UInt64 = 0, observe: @escaping @Sendable (InstanceRecord) -> Void = { _ in }
    ) async -> (InstanceOwner, Int) {
        lastGeneration += 1
        let generation = lastGeneration
        let chronicle = chronicle
        let memories = memories
        let sink = OwnerSink(registry: registry, generation: generation) { record in
            chronicle.take(record)
            if let memory = record.memory { memories.keep(memory, of: record.status.id) }
            observe(record)
        }
        let owner = InstanceOwner(plan: plan, services: services, sink: sink, earlierRuns: earlierRuns)
        await registry.register(instance: plan.name, generation: generation) { event in await owner.registry(event) }
        return (owner, generation)
    }

    /// The least number that no instance has: it is part of socket names, and stays with the instance. One that a server
    /// of an earlier life listens by is that instance's.
    private func number(for name: String) -> Int {
        if let earlier = earlierNumbers[name] { return earlier }
        let taken = Set(plans.values.map(\.number)).union(earlierNumbers.values)
        return (0...).first { !taken.contains($0) } ?? taken.count
    }

    /// Ends an instance and forgets it.
    func remove(_ name: String) async {
        guard let owner = owners[name], let generation = generations[name] else { return }
        await owner.shutdown()
        owners[name] = nil
        plans[name] = nil
        generations[name] = nil
        wishes.forget(name)
        memories.forget(name)
        chronicle.forget(instance: name)
        await registry.forget(instance: name, generation: generation)
    }

    /// The configuration with what was attached at run time.
    func withAttachments(_ configuration: Configuration) -> Configuration {
        var all = configuration
        all.providers += plans.values.map(\.provider).filter { provider in
            attachments[provider.name] != nil && !configuration.providers.contains { $0.name == provider.name }
        }
        return all
    }

    /// Lets go of what was attached in an earlier life under a name that the configuration has given away since.
    func dropClashingAttachments() {
        let clashes = AttachmentStore.clashes(of: attachments.keys, with: configuration)
        if clashes.isEmpty { return }
        for name in clashes.keys.sorted() {
            attachments[name] = nil
            notices.append(
                "\(name), attached at run time, is detached: the configuration has something else of that name now")
            logger.warning("detached, as the configuration has its name now", metadata: ["instance": "\(name)"])
        }
        try? attachmentStore.save(attachments)
    }

    /// Brings back what was attached before and is not there: in an earlier life, or when its key could not be read.
    func restoreAttachments() async {
        for (name, attachment) in attachments.sorted(by: { $0.key < $1.key })
        where owners[name] == nil && !detaching.contains(name) {
            notices.removeAll { $0.hasPrefix(Self.missing(name)) }
            do throws(ControlFailure) {
                try await attachProvider(name, attachment)
            } catch {
                notices.append(
                    "\(Self.missing(name)): \(error). Mend that and reload, or forget it with 'stoker detach \(name)'")
                logger.error("an attached instance cannot be brought back", metadata: ["instance": "\(name)"])
            }
        }
    }

    static func missing(_ name: String) -> String { "attached instance \(name) cannot be brought back" }

    /// Reads what was attached by way of the configuration's own reader, so that the same rules hold and the same errors
    /// come.
    func attachedProvider(
        _ name: String, _ attachment: AttachmentStore.Attachment
    ) throws(ControlFailure) -> ProviderConfiguration {
        var provider = "\(ConfigurationText.quoted(name)): { base_url: \(ConfigurationText.quoted(attachment.baseURL))"
        if let file = attachment.apiKeyFile { provider += ", api_key_file: \(ConfigurationText.quoted(file))" }
        let loaded = source.load(text: "providers: { \(provider) } }", as: "attach")
        guard let found = loaded.configuration?.providers.first(where: { $0.name == name }) else {
            throw .invalid(loaded.problems.filter { $0.severity == .error }.map(\.message).joined(separator: "; "))
        }
        return found
    }

    /// Attaches, in place of what was attached by that name before.
    func attachProvider(_ name: String, _ attachment: AttachmentStore.Attachment) async throws(ControlFailure) {
        let found = try attachedProvider(name, attachment)
        if owners[name] != nil { await remove(name) }
        attachments[name] = attachment
        let plan = InstancePlan(name: name, number: -1, provider: found)
        plans[name] = plan
        await registry.configure(withAttachments(configuration))
        plans[name] = nil
        await add(found)
    }
}

/// Values as YAML flow scalars.
enum ConfigurationText {
    /// A double-quoted scalar; JSON's escapes are YAML's too, and `$` is doubled so that nothing is expanded.
    static func quoted(_ text: String) -> String {
        LineLogHandler.json(String(text.flatMap { $0 == "$" ? "$$" : String($0) }))
    }
}
