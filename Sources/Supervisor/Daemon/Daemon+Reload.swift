import Fleet
import FoundationEssentials
import Glibc

/// Reloading: the configuration's difference, and a new program where there is one. One reload after another.
extension Daemon {
    /// Makes a plan of what the configuration would change, and applies it unless only the plan is wanted. Where another
    /// file is at our program's path, that one is rehearsed, makes the plan, and takes over.
    ///
    /// - Returns: With a ``ReloadReport/successor`` before that has taken over: ``StatusReport/lastReload`` tells the rest.
    public func reload(planOnly: Bool) async throws(ControlFailure) -> ReloadReport {
        if planOnly {
            if let report = try await rehearse() { return report }
            let (_, new) = try load()
            return await reloadReport(difference(to: new))
        }
        // One that still replaces instances makes way for the newer configuration.
        for replacer in replacers.values { replacer.cancel("another reload came first") }
        reloadsAsked += 1
        let number = await beginReload()
        do throws(ControlFailure) {
            if isStopping { throw .failed("the daemon is stopping") }
            if var report = try await rehearse() {
                report.number = number
                notify(reporter.reloading(at: .now()))
                Task { await self.handOver(number) }
                return report
            }
            var report = try await applyFile()
            report.number = number
            await endReload(.applied, Self.summary(report))
            return report
        } catch {
            await endReload(error.isRefusal ? .refused : .failed, error.description)
            throw error
        }
    }

    /// The part that is left of a reload when the new program has taken over.
    func finishReload(_ number: Int) async {
        await keeper.settle(within: .seconds(20))
        do throws(ControlFailure) {
            let report = try await applyFile()
            await endReload(.applied, "version \(options.version) has taken over; \(Self.summary(report))")
        } catch {
            await endReload(error.isRefusal ? .refused : .failed, error.description)
        }
    }

    /// Applies what is configured now, once what an earlier life left was taken over: a replacement waits for one that
    /// serves, and no longer than the other takes.
    func catchUp() async {
        let deadline = Instant.now() + .seconds(20)
        while Instant.now() < deadline, !isStopping {
            let states = await registry.records.filter { plans[$0.status.id]?.kind == .launched }.map(\.status.state)
            if !states.contains(where: { $0 == .starting || $0 == .warming }) { break }
            try? await Task.sleep(for: .milliseconds(50))
        }
        await reloadBySignal()
    }

    /// Reloads without anybody who waits for the outcome.
    func reloadBySignal() async {
        do throws(ControlFailure) {
            _ = try await reload(planOnly: false)
        } catch {
            logger.error("reload refused; what runs goes on", metadata: ["error": "\(error)"])
        }
    }

    // MARK: The configuration

    private func load() throws(ControlFailure) -> (ConfigurationSource.Loaded, Configuration) {
        let loaded = source.load()
        guard let new = loaded.configuration else {
            throw .refused(loaded.problems.map(\.description).joined(separator: "\n"))
        }
        if let clashes = AttachmentStore.clashText(of: attachments.keys, with: new) { throw .refused(clashes) }
        return (loaded, new)
    }

    /// What would change, held against what runs: an instance whose replacement failed is still what it was.
    func difference(to new: Configuration) -> ConfigurationDifference {
        let running = plans.filter { attachments[$0.key] == nil }.mapValues(\.provider)
        return ConfigurationDifference.between(configuration, new, running: running)
    }

    private func applyFile() async throws(ControlFailure) -> ReloadReport {
        let (loaded, new) = try load()
        let token: AdminToken
        do throws(AdminToken.Failure) {
            token = try adminToken(of: new)
        } catch {
            throw .refused(error.description)
        }
        let difference = difference(to: new)
        notify(reporter.reloading(at: .now()))
        let sockets = try await gatewayOrder(for: difference, new)
        accepted.begin(loaded)
        keep(loaded)
        await admin?.use(token)
        stand(.configuration, nil)
        stand(.token, nil)
        stand(.program, nil)
        let report = await reloadReport(difference)
        let problems = await apply(difference, new)
        await renewGateway(sockets)
        logger.notice(
            "configuration reloaded",
            metadata: [
                "added": "\(report.added.joined(separator: " "))",
                "removed": "\(report.removed.joined(separator: " "))",
                "changed": "\(report.changed.joined(separator: " "))", "problems": "\(problems.count)",
            ])
        guard problems.isEmpty else { throw .failed(problems.joined(separator: "\n")) }
        accepted.settle()
        return report
    }

    /// What a difference comes to, now: a failed instance is given another try, though nothing about it changes.
    private func reloadReport(_ difference: ConfigurationDifference) async -> ReloadReport {
        var report = ReloadReport(difference)
        var retried: [String] = []
        for name in report.untouched where await owners[name]?.status.state == .failed { retried.append(name) }
        report.untouched.removeAll { retried.contains($0) }
        if !retried.isEmpty { report.retried = retried }
        return report
    }

    private static func summary(_ report: ReloadReport) -> String {
        let parts = [
            ("added", report.added), ("removed", report.removed), ("replaced", report.changed),
            ("adjusted", report.adjusted ?? []), ("started again", report.retried ?? []),
        ].filter { !$0.1.isEmpty }.map { "\($0.0) \($0.1.joined(separator: ", "))" }
        return parts.isEmpty ? "no instance changes" : parts.joined(separator: "; ")
    }

    // MARK: One after another

    private func beginReload() async -> Int {
        while isReloading { await withCheckedContinuation { reloadWaiters.append($0) } }
        isReloading = true
        let number = (lastReload?.number ?? 0) + 1
        lastReload = reloadStatus(number, .running, "is under way")
        return number
    }

    func endReload(_ outcome: ReloadStatus.Outcome, _ detail: String) async {
        if let number = lastReload?.number { lastReload = reloadStatus(number, outcome, detail) }
        isReloading = false
        chronicle.note(.reload, "configuration \(outcome.rawValue): \(detail)")
        notify(reporter.reloaded())
        await registryChanged()
        let waiters = reloadWaiters
        reloadWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    func reloadStatus(_ number: Int, _ outcome: ReloadStatus.Outcome, _ detail: String) -> ReloadStatus {
        let began = lastReload?.number == number ? lastReload?.at : nil
        let now = Timestamp.text(milliseconds: services.clock.wallMilliseconds())
        return ReloadStatus(number: number, at: began ?? now, outcome: outcome, detail: detail)
    }
}

extension ReloadReport {
    /// What a difference comes to.
    init(_ difference: ConfigurationDifference) {
        self.init(
            added: difference.added, removed: difference.removed, changed: difference.changed.map(\.name),
            untouched: difference.untouched,
            needsRestart: difference.needsRestart.map(\.path))
        if !difference.adjusted.isEmpty { adjusted = difference.adjusted.map(\.name) }
        let instances = difference.changed + difference.adjusted
        if !instances.isEmpty {
            reasons = Dictionary(instances.map { ($0.name, $0.settings.map(\.description)) }) { first, _ in first }
        }
        let forGateway = difference.settings.filter { $0.reload == .newGateway }.map(\.path)
        if !forGateway.isEmpty { newGateway = forGateway }
    }
}

extension ControlFailure {
    /// Whether nothing was done about it.
    var isRefusal: Bool {
        if case .failed = self { return false }
        return true
    }
}
