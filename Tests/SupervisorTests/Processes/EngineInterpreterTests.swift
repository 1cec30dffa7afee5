import Testing

@testable import Supervisor

@Suite("Finding the Python behind a command")
struct EngineInterpreterTests {
    private func find(_ file: String, _ head: String) -> String? {
        EngineInterpreter.find(file: file, head: Array(head.utf8)) { "/found/\($0)" }
    }

    @Test(
        "first lines of scripts",
        arguments: [
            ("#!/opt/venv/bin/python\n# -*- coding", "/opt/venv/bin/python"),
            ("#! /opt/venv/bin/python3.11 -E\n", "/opt/venv/bin/python3.11"),
            ("#!/usr/bin/env python3\n", "/found/python3"),
            ("#!/usr/bin/env -S python3 -u\n", "/found/python3"),
            (
                "#!/bin/sh\n'''exec' \"/a very long/path/bin/python3\" \"$0\" \"$@\"\n' '''\n",
                "/a very long/path/bin/python3"
            ),
            ("#!/bin/sh\n'''exec' /long/path/bin/python \"$0\" \"$@\"\n", "/long/path/bin/python"),
            ("#!/bin/sh\nexec vllm \"$@\"\n", nil), ("#!/usr/bin/env bash\n", nil), ("\u{7F}ELF", nil), ("", nil),
            ("#!\n", nil),
        ] as [(String, String?)])
    func heads(head: String, expected: String?) { #expect(find("/opt/bin/vllm", head) == expected) }

    @Test("the command may be the interpreter itself")
    func interpreter() { #expect(find("/usr/bin/python3.11", "\u{7F}ELF") == "/usr/bin/python3.11") }

    @Test("the interpreter is asked for the version, once, and not waited for for ever")
    func asked() {
        let folder = TestFolder()
        let python = folder.script(
            "python3", "#!/bin/sh\necho asked >> \(folder.path)/asked\n[ \"$1\" = -I ] && echo 0.31.2+cpu\n")
        let vllm = folder.script("vllm", "#!\(python)\n")
        let versions = EngineVersions()
        #expect(versions.version(of: [vllm, "serve"], environment: [:]) == EngineVersion(0, 31, 2))
        #expect(versions.version(of: ["vllm"], environment: ["PATH": folder.path]) == EngineVersion(0, 31, 2))
        #expect(SystemFile.text("\(folder.path)/asked") == "asked\n")

        let slow = folder.script("python3.9", "#!/bin/sh\nexec sleep 1000\n")
        let other = folder.script("slow", "#!\(slow)\n")
        #expect(EngineVersions(patience: 50).version(of: [other], environment: [:]) == nil)
        #expect(versions.version(of: ["/no/such/vllm"], environment: [:]) == nil)
    }
}
