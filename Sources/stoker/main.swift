import CLinux
import Glibc
import Supervisor

// First of all, before anything of a runtime is set up: this process may only be the step between the supervisor
// and an engine.
Trampoline.runIfAsked(CommandLine.arguments)

// A container's process 1 has duties beside.
if CommandLine.arguments.dropFirst().first == RunCommand.configuration.commandName { stoker_be_init() }

exit(Entry.run(Array(CommandLine.arguments.dropFirst())))
