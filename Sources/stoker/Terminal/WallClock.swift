import Fleet
import Glibc

/// Wall-clock times, as status reports write them.
enum WallClock {
    /// Seconds since 1970, now.
    static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The seconds since 1970 of an RFC 3339 time in UTC (`2025-01-31T14:02:11Z`, with or without a fraction).
    static func seconds(of text: String) -> Double? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, text.hasSuffix("Z") else { return nil }
        func number(_ range: Range<Int>) -> Int32? { Int32(String(decoding: bytes[range], as: UTF8.self)) }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19)
        else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, month - 1, day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (hour, minute, second)
        return Double(timegm(&parts))
    }

    /// This machine's time of day, `14:02:11`.
    static var timeOfDay: String {
        var time = Glibc.time(nil)
        var parts = tm()
        localtime_r(&time, &parts)
        func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
        return "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }

    /// A span as a person says it: `12s`, `5m`, `3h10m`, `2d4h`.
    static func span(_ seconds: Double) -> String {
        let whole = Int(max(0, seconds.rounded()))
        switch whole {
        case ..<60: return "\(whole)s"
        case ..<3600: return "\(whole / 60)m"
        case ..<86_400: return "\(whole / 3600)h\(whole % 3600 / 60)m"
        default: return "\(whole / 86_400)d\(whole % 86_400 / 3600)h"
        }
    }
}
