/// A moment of the wall clock, in milliseconds since 1970 (UTC).
///
/// For people and logs only: nothing is ever timed with it, because it jumps.
package struct WallTime: Sendable, Hashable, Comparable {
    package let milliseconds: Int64

    package init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    package static func < (left: WallTime, right: WallTime) -> Bool {
        left.milliseconds < right.milliseconds
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-21T08:15:30.042Z`.
    package var rfc3339: String {
        let day = milliseconds.floorDivided(by: 86_400_000)
        let rest = Int(milliseconds - day * 86_400_000)
        let date = Self.civil(fromDays: day)
        var out: [UInt8] = []
        out.reserveCapacity(24)
        Self.append(date.year, width: 4, to: &out)
        out.append(UInt8(ascii: "-"))
        Self.append(date.month, width: 2, to: &out)
        out.append(UInt8(ascii: "-"))
        Self.append(date.day, width: 2, to: &out)
        out.append(UInt8(ascii: "T"))
        Self.append(rest / 3_600_000, width: 2, to: &out)
        out.append(UInt8(ascii: ":"))
        Self.append(rest / 60_000 % 60, width: 2, to: &out)
        out.append(UInt8(ascii: ":"))
        Self.append(rest / 1000 % 60, width: 2, to: &out)
        out.append(UInt8(ascii: "."))
        Self.append(rest % 1000, width: 3, to: &out)
        out.append(UInt8(ascii: "Z"))
        return String(decoding: out, as: UTF8.self)
    }

    private static func append(_ value: Int, width: Int, to out: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            out.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }

    /// Gregorian date of a day number counted from 1970-01-01, by the usual 400-year cycle arithmetic.
    private static func civil(fromDays days: Int64) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = shifted.floorDivided(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (Int(year), Int(month), Int(day))
    }
}

extension Int64 {
    fileprivate func floorDivided(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
