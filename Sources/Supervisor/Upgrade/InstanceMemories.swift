import Fleet
import FoundationEssentials
import Synchronization

/// What launched instances went through, kept in a file of the state directory from each change on: a supervisor that is
/// started again after a crash goes on with their budgets, and leaves given up what was given up. A stop of the daemon ends
/// it. Written aside: who tells of a change waits for no disk.
final class InstanceMemories: Sendable {
    /// The file's content.
    struct Kept: Codable, Sendable, Hashable {
        /// The boot that all instants belong to.
        var boot: String
        /// By instance.
        var instances: [String: InstanceMemory]
    }

    private let file: StateFile
    private let instances: Mutex<[String: InstanceMemory]>
    /// Held while the file is written; true when all is over.
    private let writing = Mutex(false)

    /// - Parameter earlier: What an earlier life has kept and this one goes on with.
    init(_ file: StateFile, earlier: [String: InstanceMemory]) {
        self.file = file
        instances = Mutex(earlier)
    }

    /// What an earlier life of this boot has kept; nothing where it has kept none.
    static func read(_ file: StateFile, boot: String = ProcessTable.bootID) -> [String: InstanceMemory] {
        guard let bytes = file.read(), let kept = try? JSONDecoder().decode(Kept.self, from: Data(bytes)),
            kept.boot == boot
        else { return [:] }
        return kept.instances
    }

    /// Takes what an instance's owner knows now. Of two owners the one with the newer run speaks.
    func keep(_ memory: InstanceMemory, of instance: String) {
        let isNew = instances.withLock { instances in
            if let known = instances[instance], known == memory || known.run > memory.run { return false }
            instances[instance] = memory
            return true
        }
        if isNew { write() }
    }

    /// Forgets an instance that is not configured any more.
    func forget(_ instance: String) {
        if instances.withLock({ $0.removeValue(forKey: instance) }) != nil { write() }
    }

    /// Forgets all: the daemon has ended as it was told to.
    func clear() {
        writing.withLock { isOver in
            isOver = true
            file.remove()
        }
    }

    private func write() {
        Task {
            writing.withLock { isOver in
                guard !isOver else { return }
                let kept = Kept(boot: ProcessTable.bootID, instances: instances.withLock { $0 })
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys]
                guard let data = try? encoder.encode(kept) else { return }
                // A disk that cannot take it costs the next life the budgets, and this one nothing.
                file.write(Array(data))
            }
        }
    }
}
