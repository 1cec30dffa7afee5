import CLinux
import Glibc

/// The head process: binds, loads, listens, waits for signals, and ends as vLLM ends.
struct Head {
    private let options: Options
    private let controls: ControlFile
    private let signals: Int32
    private let startedAt = monotonic()

    static func main(_ options: Options) -> Never {
        signal(SIGPIPE, SIG_IGN)
        let controls = ControlFile(path: environment("STANDIN_CONTROL"), endpoint: options.endpoint)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGCHLD)
        sigprocmask(SIG_BLOCK, &set, nil)
        let head = Head(
            options: options, controls: controls,
            signals: signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK)))
        head.run()
    }

    private func run() -> Never {
        banner()
        exitAtStart()
        let listener = bindListener()
        guard let link = EngineLink(options: options) else { fail("the engine process could not be started") }
        Log.engine(link.pid, "Initializing a V1 LLM engine (v\(options.version)) with config: model='\(options.model)'")
        makeGrandchild()
        startNoise()
        load(link)
        guard listen(listener, 2048) == 0 else {
            traceback(
                "OSError: [Errno \(errno)] error while attempting to bind on address "
                    + "('\(options.host)', \(options.port)): address already in use")
            kill(link.pid, SIGKILL)
            exit(1)
        }
        let server = Server(options: options, controls: controls, link: link)
        announce()
        startThread { server.accept(on: listener) }
        serve(server, link, listener)
    }

    // MARK: Before ready

    private func banner() {
        for line in ["", "       █     █     █▄   ▄█", " ▄▄ ▄█ █     █     █ ▀▄▀ █  version \(options.version)"] {
            Log.info(line, at: "api_utils.py:347")
        }
        Log.info("  █▄█▀ █     █     █     █  model   \(options.model)", at: "api_utils.py:347")
        Log.info("   ▀▀  ▀▀▀▀▀ ▀▀▀▀▀ ▀     ▀", at: "api_utils.py:347")
        Log.info("non-default args: {'model': '\(options.model)'}", at: "api_utils.py:286")
        for line in controls.now["load_lines"]?.array ?? [] { Log.line(line.string ?? line.text()) }
    }

    private func exitAtStart() {
        guard let exit = controls.now["exit_at_start"], controls.take("exit_at_start", of: controls.now) else { return }
        wait(seconds: exit["after"]?.double ?? 0) { _ in }
        for line in exit["lines"]?.array ?? [] { Log.line(line.string ?? line.text()) }
        if let name = exit["signal"]?.string {
            let number = ["KILL": SIGKILL, "SEGV": SIGSEGV, "ABRT": SIGABRT, "BUS": SIGBUS, "TERM": SIGTERM]
            var set = sigset_t()
            sigemptyset(&set)
            sigprocmask(SIG_SETMASK, &set, nil)
            let wanted = number[name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name] ?? SIGKILL
            var none = rlimit(rlim_cur: 0, rlim_max: 0)
            setrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &none)
            signal(wanted, SIG_DFL)
            kill(getpid(), wanted)
            pause(seconds: 1)
        }
        Glibc.exit(Int32(exit["code"]?.int ?? 1))
    }

    /// Bound, and not yet listening: who connects is refused.
    private func bindListener() -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        if let path = options.uds {
            let descriptor = socket(AF_UNIX, kind, 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array(path.utf8)
            guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { fail("AF_UNIX path too long") }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            let size = socklen_t(MemoryLayout<sockaddr_un>.size)
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
            }
            guard bound == 0 else {
                traceback("OSError: [Errno \(errno)] \(String(cString: strerror(errno)))")
                exit(1)
            }
            return descriptor
        }
        let descriptor = socket(AF_INET, kind, 0)
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(options.port).bigEndian
        let host = options.host == "localhost" ? "127.0.0.1" : options.host
        inet_pton(AF_INET, host, &address.sin_addr)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
        }
        guard bound == 0 else {
            traceback("OSError: [Errno \(errno)] \(String(cString: strerror(errno)))")
            exit(1)
        }
        return descriptor
    }

    private func load(_ link: EngineLink) {
        let began = monotonic()
        let fallback = environment("STANDIN_LOAD_SECONDS").flatMap(Double.init) ?? 0.3
        var shards = 0
        Log.engine(link.pid, "Starting to load model \(options.model)...", at: "gpu_model_runner.py:68")
        while true {
            let control = controls.now
            let seconds = control.number("load_seconds") ?? fallback
            let part = seconds > 0 ? (monotonic() - began) / seconds : 1
            if !control.flag("load_silent"), Int(min(1, part) * 8) > shards {
                shards = Int(min(1, part) * 8)
                let percent = shards * 100 / 8
                let padding = String(repeating: " ", count: 3 - String(percent).count)
                Log.line(
                    "Loading safetensors checkpoint shards: \(padding)\(percent)% Completed | \(shards)/8 "
                        + "[00:0\(shards)<00:0\(8 - shards),  1.20s/it]")
            }
            if part >= 1, link.ready, !control.flag("never_ready") { break }
            wait(seconds: 0.02) { signal in
                // As a Python that has not yet put up its handlers.
                kill(link.pid, SIGKILL)
                var set = sigset_t()
                sigemptyset(&set)
                Glibc.signal(signal, SIG_DFL)
                sigprocmask(SIG_SETMASK, &set, nil)
                kill(getpid(), signal)
            }
            if link.deadSince != nil {
                traceback(
                    "RuntimeError: Engine core initialization failed. See root cause above. "
                        + "Failed core proc(s): {'EngineCore': -9}")
                exit(1)
            }
        }
        guard !controls.now.flag("load_silent") else { return }
        Log.engine(link.pid, "Loading weights took \(fallback) seconds", at: "default_loader.py:501")
        Log.engine(
            link.pid, "GPU KV cache size: 1,048,576 tokens, Maximum concurrency for 1,024 tokens per request: 1024.00x",
            at: "kv_cache_utils.py:2327")
        Log.engine(
            link.pid, "init engine (profile, create kv cache, warmup model) took \(fallback) s", at: "core.py:402")
    }

    private func announce() {
        let task = options.task == .pooling ? "embed" : "generate"
        Log.info("Supported tasks: ['\(task)']", at: "entry.py:136")
        Log.info("Starting vLLM server on \(options.endpoint)", at: "entry.py:140")
        Log.info("Available routes are:", at: "launcher.py:186")
        for route in ["/health, Methods: GET", "/metrics, Methods: GET", "/v1/models, Methods: GET"] {
            Log.info("Route: \(route)")
        }
        Log.line("INFO:     Started server process [\(getpid())]")
        Log.line("INFO:     Waiting for application startup.")
        Log.line("INFO:     Application startup complete.")
    }

    // MARK: While it serves

    private func serve(_ server: Server, _ link: EngineLink, _ listener: Int32) -> Never {
        var noticed = false
        while true {
            wait(seconds: 0.05) { signal in
                if !controls.now.flag("ignore_sigterm") { stop(server, link, listener) }
            }
            if let exit = server.exit, monotonic() >= exit.at { end(link, code: exit.code) }
            guard let dead = link.deadSince else { continue }
            if !noticed {
                noticed = true
                Log.info(
                    "[shutdown] MPClient: engine core exited unexpectedly; starting cleanup", at: "core_client.py:817",
                    level: "WARNING")
                traceback("vllm.v1.engine.exceptions.EngineDeadError: \(ErrorBody.engineDead)")
            }
            let delay = controls.now.number("engine_dead_exit_delay") ?? 4.9
            if !options.surviveEngine, monotonic() - dead >= delay { end(link, code: 0) }
        }
    }

    private func stop(_ server: Server, _ link: EngineLink, _ listener: Int32) -> Never {
        Log.info("[shutdown] API server: shutdown triggered", at: "launcher.py:254")
        let timeout = options.shutdownTimeout
        let mode = timeout > 0 ? "drain" : "abort"
        Log.info(
            "[shutdown] API server: stopping engine client mode=\(mode) timeout=\(Int(timeout))s", at: "launcher.py:270"
        )
        server.startDraining()
        let deadline = monotonic() + timeout
        if timeout > 0 {
            link.drain()
            while link.deadSince == nil, monotonic() < deadline { ignoringSignals(seconds: 0.02) }
        }
        if link.deadSince == nil {
            if timeout > 0 {
                Log.info(
                    "[shutdown] Process manager: force killing remaining process EngineCore pid \(link.pid)",
                    at: "utils.py:653", level: "WARNING")
                link.abandon()
            } else {
                kill(link.pid, SIGKILL)
            }
        }
        Log.info("[shutdown] API server: engine client stopped", at: "launcher.py:279")
        ignoringSignals(seconds: controls.now.number("stop_seconds") ?? 0.2)
        shutdown(listener, Int32(SHUT_RDWR))
        Log.line("INFO:     Shutting down")
        if server.observations.inferencesOpen > 0 {
            // uvicorn waits for them, for ever if need be.
            Log.line("INFO:     Waiting for connections to close. (CTRL+C to force quit)")
            while server.observations.inferencesOpen > 0 { ignoringSignals(seconds: 0.02) }
        }
        end(link, code: 0)
    }

    private func end(_ link: EngineLink, code: Int32) -> Never {
        kill(link.pid, SIGKILL)
        // Python's resource tracker does this; where it is killed with the rest, the segment stays.
        unlink(Engine.sharedMemoryPath(link.pid))
        Log.line("INFO:     Waiting for application shutdown.")
        Log.line("INFO:     Application shutdown complete.")
        Log.line("INFO:     Finished server process [\(getpid())]")
        exit(code)
    }

    // MARK: Helpers

    /// Sleeps, and calls `each` for every SIGTERM and SIGINT; dead children are reaped on the way.
    private func wait(seconds: Double, _ each: (Int32) -> Void) {
        let deadline = monotonic() + seconds
        repeat {
            var entry = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
            let left = max(0, deadline - monotonic())
            guard poll(&entry, 1, Int32((left * 1000).rounded(.up))) > 0 else { return }
            var info = signalfd_siginfo()
            guard read(signals, &info, MemoryLayout<signalfd_siginfo>.size) > 0 else { continue }
            if info.ssi_signo == UInt32(SIGCHLD) {
                while waitpid(-1, nil, WNOHANG) > 0 {}
            } else {
                each(Int32(info.ssi_signo))
            }
        } while monotonic() < deadline
    }

    private func ignoringSignals(seconds: Double) { wait(seconds: seconds) { _ in } }

    private func makeGrandchild() {
        let control = controls.now
        guard let kind = control["grandchild"], kind.bool != false else { return }
        _ = spawnSelf(["stand-in-grandchild", kind.string == "session" ? "session" : "group"], link: nil)
    }

    /// As much output as the control asks for; it blocks when nobody reads.
    private func startNoise() {
        let controls = self.controls
        startThread {
            let line = Array(("noise " + String(repeating: "x", count: 505) + "\n").utf8)
            while true {
                let control = controls.now
                if let text = control.string("log"), controls.take("log", of: control) { Log.line(text) }
                let rate = control.number("stdout_bytes_per_second") ?? 0
                for _ in 0..<Int(rate / 10 / Double(line.count)) { writeAll(1, line) }
                pause(seconds: 0.1)
            }
        }
    }

    private func traceback(_ last: String) {
        Log.line("Traceback (most recent call last):")
        Log.line("  File \"vllm/entrypoints/launchers/launcher.py\", line 312, in run_server")
        Log.line(last)
    }

    private func fail(_ message: String) -> Never {
        writeAll(2, Array("vllm-stand-in: \(message)\n".utf8))
        exit(1)
    }
}
