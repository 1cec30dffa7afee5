import Glibc

// Trampoline
// (the hidden word `__launch` is handled here, before anything else runs: `Trampoline.runIfAsked(CommandLine.arguments)`)

exit(Entry.run(Array(CommandLine.arguments.dropFirst())))
