import Glibc
import Supervisor

// Before anything else: a child that is about to become an engine must not set up any runtime.
Trampoline.runIfAsked(CommandLine.arguments)

exit(Entry.run(Array(CommandLine.arguments.dropFirst())))
