import CLinux
import Glibc
import Synchronization

/// The file named by STANDIN_CONTROL, read again whenever it changed.
final class ControlFile: Sendable {
    private struct State {
        var control = Control()
        var seen = ""
        var used: [String: Int] = [:]
        var checked = 0.0
    }

    private let path: String?
    private let endpoint: String
    private let state = Mutex(State())

    init(path: String?, endpoint: String) {
        self.path = path
        self.endpoint = endpoint
    }

    /// What holds now. A file that is being written (and so is no JSON) leaves things as they are.
    var now: Control {
        state.withLock { state in
            refresh(&state)
            return state.control
        }
    }

    /// Whether a fault with a limit may strike once more; counts it if so.
    func take(_ key: String, of control: Control) -> Bool {
        guard let limit = control["limit"]?[key]?.int else { return true }
        return state.withLock { state in
            let used = state.used[key, default: 0]
            state.used[key] = used + 1
            return used < limit
        }
    }

    private func refresh(_ state: inout State) {
        guard let path else { return }
        var status = stat()
        let mark =
            stat(path, &status) == 0
            ? "\(status.st_ino).\(status.st_size).\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)" : "absent"
        guard mark != state.seen else { return }
        if mark == "absent" {
            state.control = Control()
        } else {
            guard let text = contents(of: path),
                let control = try? Control(text: text, endpoint: endpoint, pid: getpid())
            else { return }
            if !control.unknown.isEmpty {
                let names = control.unknown.sorted().joined(separator: ", ")
                writeAll(2, Array("vllm-stand-in: no such key in the control file: \(names)\n".utf8))
            }
            state.control = control
        }
        state.used = [:]
        state.seen = mark
    }
}
