extension ConfigurationReading {
    /// What only several settings together can tell.
    mutating func check(_ configuration: Configuration) {
        checkKey(configuration)
        checkAddresses(configuration)
        checkLimits(configuration)
        checkTLS(configuration)
        checkNames(configuration)
        checkGPUs(configuration)
        checkDirectories(configuration)
    }

    private func place(of path: String) -> SourcePlace {
        settings[path]?.place
            ?? SourcePlace(
                layer: .yaml, file: inputs.yaml?.path ?? ConfigurationProblem.environment,
                line: inputs.yaml == nil ? 0 : 1, column: inputs.yaml == nil ? 0 : 1, label: path)
    }

    /// A gateway that others can reach has a key, or says that it wants none.
    private mutating func checkKey(_ configuration: Configuration) {
        let wanted = ["master_key", "master_key_file"].contains { settings[$0] != nil || unreadable.contains($0) }
        guard configuration.masterKey == nil, !wanted, !configuration.allowUnauthenticated else { return }
        for (address, place) in placedAddresses("listen", configuration.listen) where !address.isLoopback {
            error(
                "\(address) can be reached by others, and there is no key: set a key (master_key_file, master_key or "
                    + "STOKER_MASTER_KEY), or allow_unauthenticated: true",
                at: place)
        }
    }

    private func placedAddresses(_ path: String, _ addresses: [ListenAddress]) -> [(ListenAddress, SourcePlace)] {
        let places = (elements(path) ?? []).map { element in
            ((try? ListenAddress(configuration: element.text.trimmed)), element.place)
        }
        return addresses.map { address in
            (address, places.first { $0.0 == address }?.1 ?? place(of: path))
        }
    }

    /// The gateway's and the admin's addresses are different ones.
    private mutating func checkAddresses(_ configuration: Configuration) {
        for (address, place) in placedAddresses("admin.listen", configuration.admin.listen)
        where configuration.listen.contains(address) && address.port != 0 {
            error("\(address) is also the gateway's (listen): give them different addresses", at: place)
        }
    }

    private mutating func checkLimits(_ configuration: Configuration) {
        if configuration.limits.bodyMemory < configuration.limits.body {
            let path = settings["limits.body_memory"] != nil ? "limits.body_memory" : "limits.body"
            error(
                "limits.body_memory (\(ByteSize.text(configuration.limits.bodyMemory))) is less than limits.body "
                    + "(\(ByteSize.text(configuration.limits.body))): not one such body could be taken",
                at: place(of: path))
        }
        if let memory = configuration.gateway.memory, memory < configuration.limits.bodyMemory + (128 << 20) {
            error(
                "gateway.memory (\(ByteSize.text(memory))) leaves no room beside limits.body_memory "
                    + "(\(ByteSize.text(configuration.limits.bodyMemory))): at least 128MiB more is needed",
                at: place(of: "gateway.memory"))
        }
        for provider in configuration.providers {
            guard case .launched(let launch) = provider.source,
                launch.timeouts.startStall > launch.timeouts.startMax
            else { continue }
            let prefix = "providers.\(provider.name).timeouts"
            let path = settings["\(prefix).start_stall"] != nil ? "\(prefix).start_stall" : "\(prefix).start_max"
            warning("start_stall is longer than start_max and never comes to pass", at: place(of: path))
        }
    }

    /// A key belongs to a certificate.
    private mutating func checkTLS(_ configuration: Configuration) {
        guard configuration.tls == nil, let place = settings["tls.key_file"]?.place,
            settings["tls.certificate_file"] == nil
        else { return }
        error("a key without its certificate: set tls.certificate_file too", at: place)
    }

    /// Names of providers and instances are unique together, and instances' short enough.
    private mutating func checkNames(_ configuration: Configuration) {
        var owners: [String: String] = [:]
        for provider in configuration.providers { owners[provider.name] = provider.name }
        for provider in configuration.providers {
            guard case .launched = provider.source else { continue }
            let providerPlace = providers[provider.name] ?? place(of: "providers.\(provider.name)")
            for name in provider.instanceNames {
                if name.utf8.count > 63 {
                    error(
                        "its instance \(name) has a name of more than 63 letters: shorten the name", at: providerPlace)
                    break
                }
                guard let owner = owners.updateValue(provider.name, forKey: name) else { continue }
                let other = providers[owner] ?? providerPlace
                error(
                    "\(name) is the name of an instance of \(provider.name) and of \(owner): names of providers and "
                        + "instances are unique together",
                    at: max(providerPlace, other))
            }
        }
    }

    /// Engines' sockets fit into what the kernel takes: `<runtime>/i/<n>.<run>.sock`, with 20 digits for both numbers.
    private mutating func checkDirectories(_ configuration: Configuration) {
        let runtime = inputs.directories.runtime
        let usesSockets = configuration.providers.contains {
            guard case .launched(let launch) = $0.source else { return false }
            return launch.transport == .unix
        }
        let longest =
            usesSockets ? "/i/".utf8.count + 20 + ".".utf8.count + ".sock".utf8.count : "/registry.sock".utf8.count
        let room = UnixSocketPath.maximum - longest
        guard runtime.utf8.count > room else { return }
        error(
            "the runtime directory \(Self.quoted(runtime)) has \(runtime.utf8.count) bytes; with more than \(room) its "
                + "sockets' paths are longer than the \(UnixSocketPath.maximum) bytes that the kernel takes: choose a "
                + "shorter one",
            at: .environment("RUNTIME_DIRECTORY"))
    }
}
