import Fleet

extension ProviderConfiguration {
    /// The ids that configuration alone says this provider serves: `models:`, and for a launched one
    /// `--served-model-name` where given, else the model.
    var configuredModelIDs: Set<String> {
        var ids = Set(models)
        if case .launched(let launch) = source { ids.formUnion(launch.servedModelNames) }
        return ids
    }
}

extension LaunchConfiguration {
    /// The ids a launched server answers to: the values of `--served-model-name` in the arguments, else the model.
    var servedModelNames: [String] {
        var names: [String] = []
        var isReading = false
        for argument in args {
            if argument == "--served-model-name" || argument == "--served_model_name" {
                isReading = true
            } else if argument.hasPrefix("--served-model-name=") || argument.hasPrefix("--served_model_name=") {
                names.append(String(argument.drop { $0 != "=" }.dropFirst()))
                isReading = false
            } else if argument.hasPrefix("-") {
                isReading = false
            } else if isReading {
                names.append(argument)
            }
        }
        return names.isEmpty ? [model] : names
    }
}
