import CLinux
import Glibc

/// poll(2)'s event for a peer that has closed its side, which the C library shows only with _GNU_SOURCE.
let peerClosed: Int16 = 0x2000

/// Seconds on the monotonic clock.
func monotonic() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Seconds since the epoch.
func epoch() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func pause(seconds: Double) {
    guard seconds > 0 else { return }
    var left = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    var rest = timespec()
    while nanosleep(&left, &rest) != 0 && errno == EINTR { left = rest }
}

/// What the environment says, nil where it says nothing.
func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}

/// The whole of a file, nil where it cannot be read.
func contents(of path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count <= 0 { return count < 0 ? nil : all }
        all += buffer[..<count]
    }
}

/// Writes all bytes, waiting where it must; false when the other side is gone.
@discardableResult
func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, bytes.count - done) }
        if count > 0 {
            done += count
        } else if errno == EAGAIN {
            var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&entry, 1, -1)
        } else if errno != EINTR {
            return false
        }
    }
    return true
}

private final class ThreadBody {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Starts a detached thread with a small stack: there may be hundreds.
func startThread(_ body: @escaping @Sendable () -> Void) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 512 << 10)
    var thread = pthread_t()
    let opaque = Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    let failure = pthread_create(
        &thread, &attributes,
        { raw in
            Unmanaged<ThreadBody>.fromOpaque(raw!).takeRetainedValue().run()
            return nil
        }, opaque)
    pthread_attr_destroy(&attributes)
    if failure != 0 { Unmanaged<ThreadBody>.fromOpaque(opaque).release() }
}

/// Starts this program again under another name, with `link` as descriptor 3; the pid, or nil.
func spawnSelf(_ arguments: [String], link: Int32?, environment more: [String: String] = [:]) -> pid_t? {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let link { posix_spawn_file_actions_adddup2(&actions, link, 3) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var variables: [String] = more.map { "\($0.key)=\($0.value)" }
    var inherited = environ
    while let entry = inherited.pointee {
        let text = String(cString: entry)
        let name = String(text.prefix { $0 != "=" })
        if more[name] == nil { variables.append(text) }
        inherited += 1
    }
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
    defer { (argv + envp).forEach { free($0) } }
    var pid: pid_t = 0
    return posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, &argv, &envp) == 0 ? pid : nil
}

/// The kernel's short name of this process.
func setShortName(_ name: String) {
    let descriptor = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    writeAll(descriptor, Array(name.utf8))
    close(descriptor)
}

/// Sixteen hexadecimal digits at random, as vLLM's ids end.
func randomHex() -> String {
    let text = String(UInt64.random(in: .min ... .max), radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
}

/// Base64 with padding.
func base64(_ bytes: some Collection<UInt8>) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    let bytes = Array(bytes)
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let left = bytes.count - start
        let word =
            UInt32(bytes[start]) << 16 | (left > 1 ? UInt32(bytes[start + 1]) << 8 : 0)
            | (left > 2 ? UInt32(bytes[start + 2]) : 0)
        out.append(digits[Int(word >> 18 & 63)])
        out.append(digits[Int(word >> 12 & 63)])
        out.append(left > 1 ? digits[Int(word >> 6 & 63)] : UInt8(ascii: "="))
        out.append(left > 2 ? digits[Int(word & 63)] : UInt8(ascii: "="))
    }
    return String(decoding: out, as: UTF8.self)
}
