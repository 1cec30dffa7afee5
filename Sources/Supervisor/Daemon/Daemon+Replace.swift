import Fleet

/// Applying a configuration's difference.
extension Daemon {
    /// Applies a plan: what is gone ends first, so that its GPUs and sockets are free for what is new; rules are taken over
    /// live; what has to be another server is replaced, one replica of a provider after another.
    ///
    /// - Returns: What could not be applied, a sentence each.
    func apply(_ difference: ConfigurationDifference, _ new: Configuration) async -> [String] {
        let providers = Dictionary(
            new.providers.flatMap { provider in provider.instanceNames.map { ($0, provider) } },
            uniquingKeysWith: { first, _ in first })
        // Launched before and attached now, or the other way round: another instance of the same name.
        let changed = difference.changed.map(\.name)
        let others = changed.filter { name in plans[name]?.kind != providers[name].map(InstancePlan.kind(of:)) }
        await withTaskGroup { group in
            for name in difference.removed + others { group.addTask { await self.remove(name) } }
        }
        configuration = new
        services.health = new.health
        await spawner.limitStarts(to: new.startsAtOnce)
        for (name, attachment) in attachments where plans[name] != nil {
            do throws(ControlFailure) {
                // Its key's file may hold another one now.
                plans[name]?.provider = try attachedProvider(name, attachment)
            } catch {
                logger.warning(
                    "an attached instance goes on with the key that it had",
                    metadata: ["instance": "\(name)", "error": "\(error)"])
            }
        }
        await registry.configure(withAttachments(new))
        let replaced = changed.filter { !others.contains($0) && plans[$0]?.kind == .launched }
        // Every other one is told too: health is the daemon's, and a reload gives a failed one another try.
        for (name, owner) in owners.sorted(by: { $0.key < $1.key }) where !replaced.contains(name) {
            guard let provider = providers[name] ?? plans[name].map(\.provider) else { continue }
            plans[name]?.provider = provider
            await owner.adjust(provider, health: new.health)
        }
        for name in (difference.added + others).sorted() {
            if let provider = providers[name] { await add(name, of: provider) }
        }
        await restoreAttachments()
        let rows = Dictionary(grouping: replaced) { providers[$0]?.name ?? "" }.values
        return await withTaskGroup(of: [String].self) { group in
            for row in rows { group.addTask { await self.replace(row.sorted(), providers) } }
            var problems: [String] = []
            for await found in group { problems += found }
            return problems.sorted()
        }
    }

    /// Replaces a provider's replicas one after another; stops at the first that cannot serve: the others still do.
    private func replace(_ names: [String], _ providers: [String: ProviderConfiguration]) async -> [String] {
        let asked = reloadsAsked
        for (index, name) in names.enumerated() {
            guard let provider = providers[name], !isStopping else { return [] }
            guard asked == reloadsAsked else {
                return ["not replaced, as another reload came first: \(names[index...].joined(separator: ", "))"]
            }
            let left = names[(index + 1)...].joined(separator: ", ")
            let rest = left.isEmpty ? "" : "; not touched: \(left)"
            switch await replace(name, by: provider) {
            case .replaced: continue
            case .failed(let why, let oldServes):
                return ["\(name) cannot serve as it is configured now: \(why)\(Self.kept(oldServes))\(rest)"]
            case .cancelled(let why, let oldServes):
                return ["the replacement of \(name) was given up, \(why)\(Self.kept(oldServes))\(rest)"]
            }
        }
        return []
    }

    private static func kept(_ oldServes: Bool) -> String {
        oldServes ? "; it serves on as it was configured before" : ""
    }

    private func replace(_ name: String, by provider: ProviderConfiguration) async -> Replacement.Outcome {
        guard let old = owners[name], let oldPlan = plans[name], let oldGeneration = generations[name] else {
            await add(name, of: provider)
            return .replaced
        }
        var plan = oldPlan
        plan.provider = provider
        let isServing = await old.status.state == .ready
        if let wish = wishes[name] {
            // What a person has stopped or drained stays so, as what it is to be now.
            return await renew(name, plan, old, oldGeneration, wish)
        }
        plan.slot = 1 - oldPlan.slot
        var order = Replacement.Order.oldFirst
        if isServing, await spawner.reserve(plan) { order = .newFirst } else { plan.slot = oldPlan.slot }
        logger.notice(
            "an instance is replaced",
            metadata: ["instance": "\(name)", "order": order == .newFirst ? "the new one first" : "the old one first"])
        let planned = plan
        let replacer = Replacer(
            order, old: old,
            hands: Replacer.Hands(
                start: { held, observe in await self.startReplacement(planned, after: old, held: held, observe) },
                promote: { await self.promote(planned) },
                forgetOld: { await self.registry.forget(instance: name, generation: oldGeneration) },
                forgetNew: { await self.forgetReplacement(planned) }))
        replacers[name] = replacer
        let watching = Task {
            for await _ in await self.registry.changes() { replacer.oldSaid(await old.record) }
        }
        let outcome = await replacer.outcome()
        watching.cancel()
        replacers[name] = nil
        pending[name] = nil
        if order == .newFirst, owners[name] === old { await spawner.unreserve(planned) }
        if case .cancelled(_, oldServes: false) = outcome, owners[name] === old {
            // It was ended and nothing came after it: the next reload finds it missing.
            owners[name] = nil
            plans[name] = nil
            generations[name] = nil
        }
        return outcome
    }

    private func startReplacement(
        _ plan: InstancePlan, after old: InstanceOwner, held: Bool,
        _ observe: @escaping @Sendable (InstanceRecord) -> Void
    ) async -> InstanceOwner {
        let (owner, generation) = await makeOwner(plan, earlierRuns: await old.lastRun, observe: observe)
        pending[plan.name] = (owner, generation)
        if held {
            await owner.standBy()
        } else {
            await promote(plan)
        }
        await owner.beginAnew()
        return owner
    }

    private func promote(_ plan: InstancePlan) async {
        guard let (owner, generation) = pending[plan.name] else { return }
        owners[plan.name] = owner
        generations[plan.name] = generation
        plans[plan.name] = plan
    }

    private func forgetReplacement(_ plan: InstancePlan) async {
        guard let (_, generation) = pending[plan.name] else { return }
        await registry.forget(instance: plan.name, generation: generation)
        // What is remembered is what the one that stays went through.
        memories.forget(plan.name)
        if let memory = await owners[plan.name]?.record.memory { memories.keep(memory, of: plan.name) }
    }

    /// Makes an instance anew that a person has stopped or drained.
    private func renew(
        _ name: String, _ plan: InstancePlan, _ old: InstanceOwner, _ oldGeneration: Int, _ wish: OperatorCommand
    ) async -> Replacement.Outcome {
        await old.shutdown()
        let (owner, generation) = await makeOwner(plan, earlierRuns: await old.lastRun)
        owners[name] = owner
        generations[name] = generation
        plans[name] = plan
        await registry.forget(instance: name, generation: oldGeneration)
        if wish == .stop {
            await owner.begin(wanted: false)
        } else {
            await owner.beginAnew()
            Task { try? await owner.act(.drain) }
        }
        return .replaced
    }
}
