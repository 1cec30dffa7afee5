// A stand-in for `vllm serve` that injects faults; README.md in the folder above says how it is told to.
import CLinux
import Glibc

private let version = environment("STANDIN_VERSION") ?? "0.32.0"
private var arguments = CommandLine.arguments
private let name = arguments.removeFirst()

// The names under which it starts itself.
if name.hasPrefix("VLLM::EngineCore") { Engine.main() }
if name.hasPrefix("VLLM::Worker") { Worker.main() }
if name == "stand-in-grandchild" { Grandchild.main(ownSession: arguments.first == "session") }

// As the interpreter of a fake environment: `python3 -I -c CODE` asks for the version, `python3 PATH/vllm …` runs it.
while let flag = arguments.first, ["-I", "-B", "-E", "-s", "-u", "-P"].contains(flag) { arguments.removeFirst() }
if arguments.first == "-c" {
    print(version)
    exit(0)
}
if let script = arguments.first, script == "vllm" || script.hasSuffix("/vllm") { arguments.removeFirst() }

switch arguments.first {
case "--version", "-v":
    print(version)
case "serve":
    do {
        Head.main(try Options(serve: Array(arguments.dropFirst())))
    } catch {
        writeAll(
            2,
            Array(
                ("usage: vllm [-h] [-v]\n            "
                    + "{chat,complete,serve,launch,bench,collect-env,run-batch}\n            ...\n"
                    + "vllm: error: \(error.message)\n").utf8))
        exit(2)
    }
default:
    writeAll(2, Array("usage: vllm [-h] [-v] {serve} ...\nvllm: error: invalid choice\n".utf8))
    exit(2)
}
