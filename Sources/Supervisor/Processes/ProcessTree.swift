import Glibc

/// What holds the processes of one run together, so that all of them can be found and ended.
protocol ProcessTree: Sendable {
    /// For status: `cgroup /…/i-chat-0`, `session 4711`.
    var description: String { get }
    /// The file that a process writes "0" to to join; nil where being a descendant is enough.
    var joinFile: String? { get }
    /// The cgroup's folder, for the record; nil where there is none.
    var folder: String? { get }
    /// Tells which process is the head, once it is there.
    func begin(head: Int32, started: UInt64)
    /// The living members; zombies are none.
    func members() -> [ProcessTable.Entry]
    /// Whether nothing lives in it any more.
    func isEmpty() -> Bool
    /// Sends SIGKILL to every member there is now.
    func kill()
    /// How many processes of this tree the kernel has killed for memory; nil where it cannot tell.
    func oomKills() -> Int?
    /// Forgets it when nothing lives in it.
    func remove()
}
