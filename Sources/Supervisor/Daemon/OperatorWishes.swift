import Fleet
import FoundationEssentials
import Glibc

/// What people have asked of instances and not taken back: stopped, drained. Kept in a file of the state directory from
/// the asking on, so that a supervisor that is started again after a crash neither starts nor publishes them; a stop of the
/// daemon ends it.
struct OperatorWishes: Sendable {
    private let path: String
    private var wishes: [String: OperatorCommand]

    /// Those of an earlier life that did not come to its end; none where the file is absent or cannot be read.
    init(_ directories: Directories) {
        path = "\(directories.state)/wishes.json"
        let kept = SystemFile.bytes(path).flatMap {
            try? JSONDecoder().decode([String: OperatorCommand].self, from: Data($0))
        }
        wishes = kept?.filter { $0.value == .stop || $0.value == .drain } ?? [:]
    }

    /// What stands for an instance: stop, drain, or nothing.
    subscript(_ instance: String) -> OperatorCommand? { wishes[instance] }

    /// Takes what is asked now. A disk that cannot take it costs the next life the wish, and this one nothing.
    mutating func ask(_ command: OperatorCommand, of instances: [String]) {
        for instance in instances {
            switch command {
            case .stop, .drain: wishes[instance] = command
            case .start, .restart: if wishes[instance] == .stop { wishes[instance] = nil }
            case .undrain: if wishes[instance] == .drain { wishes[instance] = nil }
            }
        }
        save()
    }

    /// Forgets an instance that is not configured any more, or is made anew.
    mutating func forget(_ instance: String) {
        guard wishes.removeValue(forKey: instance) != nil else { return }
        save()
    }

    /// Forgets all: the daemon has ended as it was told to.
    mutating func clear() {
        wishes = [:]
        unlink(path)
    }

    private func save() {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(wishes) else { return }
        _ = SystemFile.replace(path, with: Array(data))
    }
}
