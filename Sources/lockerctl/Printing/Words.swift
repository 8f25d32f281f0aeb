/// Times and ages in the words of people.
enum Words {
    /// `80 ms`, `3 s`, `2 min`, `5 h`, `12 d`; `never` for nil.
    static func age(_ milliseconds: Double?) -> String {
        guard let milliseconds else { return "never" }
        let whole = Int64(min(max(milliseconds, 0), 1e15))
        return switch whole {
        case ..<1000: "\(whole) ms"
        case ..<60_000: "\(whole / 1000) s"
        case ..<3_600_000: "\(whole / 60_000) min"
        case ..<172_800_000: "\(whole / 3_600_000) h"
        default: "\(whole / 86_400_000) d"
        }
    }

    /// A short time with enough digits to compare: `812 ms`, `6.2 s`.
    static func span(_ milliseconds: Double) -> String {
        guard milliseconds >= 1000 else { return "\(Int64(max(milliseconds, 0))) ms" }
        let tenths = Int64(min(milliseconds, 1e15) / 100)
        return "\(tenths / 10).\(tenths % 10) s"
    }

    /// A time that may be short or long: `812 ms`, `6.2 s`, `5 min`.
    static func longSpan(_ milliseconds: Double) -> String {
        milliseconds < 60_000 ? span(milliseconds) : age(milliseconds)
    }

    /// A time to wait, never too short: `180 ms`, `3.3 s`, `2 min`.
    static func wait(_ milliseconds: Double) -> String {
        let whole = min(max(milliseconds, 0), 1e15).rounded(.up)
        return switch whole {
        case ..<1000: "\(Int64(whole)) ms"
        case ..<60_000: span((whole / 100).rounded(.up) * 100)
        default: "\(Int64((whole / 60_000).rounded(.up))) min"
        }
    }

    /// From one RFC 3339 time to another, both by the daemon's clock, in milliseconds; nil where one cannot be read.
    static func between(_ earlier: String?, _ later: String) -> Double? {
        guard let earlier, let from = instant(earlier), let to = instant(later) else { return nil }
        return Double(max(to - from, 0))
    }

    /// Milliseconds since 1970 of `2026-11-21T08:15:30.042Z`.
    static func instant(_ text: String) -> Int64? {
        guard text.utf8.last == UInt8(ascii: "Z") else { return nil }
        let parts = text.dropLast().split(whereSeparator: { "-T:.".contains($0) })
        guard parts.count == 6 || parts.count == 7 else { return nil }
        let numbers = parts.map { Int64($0) }
        guard let year = numbers[0], let month = numbers[1], let day = numbers[2],
            let hour = numbers[3], let minute = numbers[4], let second = numbers[5],
            (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
            (0..<24).contains(hour), (0..<60).contains(minute), (0...60).contains(second)
        else { return nil }
        var fraction: Int64 = 0
        if parts.count == 7 {
            guard let value = Int64(String((parts[6] + "00").prefix(3))) else { return nil }
            fraction = value
        }
        let time = (hour * 60 + minute) * 60 + second
        return (days(year, month, day) * 86_400 + time) * 1000 + fraction
    }

    /// Days from 1970-01-01 in the Gregorian calendar, years counted from March so that leap days come last.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month > 2 ? year : year - 1
        let monthFromMarch = (month + 9) % 12
        let leapDays = shifted / 4 - shifted / 100 + shifted / 400
        return 365 * shifted + leapDays + (153 * monthFromMarch + 2) / 5 + day - 1 - 719_468
    }

    static func count(_ number: Int, _ thing: String) -> String {
        "\(number) \(thing)\(number == 1 ? "" : "s")"
    }
}
