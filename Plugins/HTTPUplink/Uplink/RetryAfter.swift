import Glibc

/// The `Retry-After` header, in both forms that RFC 9110 (section 10.2.3) has for it.
enum RetryAfter {
    /// A day: longer than any delivery, short enough to calculate with.
    static let longest = 86_400

    /// Seconds to wait from `now`, which is in seconds since 1970; nil where `text` is neither form.
    static func seconds(_ text: String, now: Int) -> Int? {
        let words = text.split(separator: " ")
        guard words.count > 1 else { return words.first.flatMap(delay) }
        return date(words).map { min(max(0, $0 - now), longest) }
    }

    private static func delay(_ word: Substring) -> Int? {
        guard word.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return min(Int(word) ?? longest, longest)
    }

    /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of a date that is still to be sent.
    private static func date(_ words: [Substring]) -> Int? {
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]),
            let month = months.firstIndex(where: { $0 == words[2] }), let year = Int32(words[3]),
            (1...31).contains(day), (1970...9999).contains(year)
        else { return nil }
        let clock = words[4].split(separator: ":", omittingEmptySubsequences: false)
        guard clock.count == 3, let hour = Int32(clock[0]), let minute = Int32(clock[1]),
            let second = Int32(clock[2]), (0...23).contains(hour), (0...59).contains(minute),
            (0...60).contains(second)
        else { return nil }
        var parts = tm()
        parts.tm_year = year - 1900
        parts.tm_mon = Int32(month)
        parts.tm_mday = day
        parts.tm_hour = hour
        parts.tm_min = minute
        parts.tm_sec = second
        return timegm(&parts)
    }
}
