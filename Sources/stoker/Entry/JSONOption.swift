import ArgumentParser

/// `--json`, for commands whose outcome a program may want to read; docs/cli.md has the shapes.
struct JSONOption: ParsableArguments {
    @Flag(name: .customLong("json"), help: "The outcome as JSON, in one line.")
    var isWanted = false
}
