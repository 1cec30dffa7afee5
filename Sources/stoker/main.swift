import Glibc
import Supervisor

// First of all, before anything of a runtime is set up: this process may only be the step between the supervisor
// and an engine.
Trampoline.runIfAsked(CommandLine.arguments)

exit(Entry.run(Array(CommandLine.arguments.dropFirst())))
