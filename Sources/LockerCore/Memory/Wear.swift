/// What a lock has done in its life: the ground for a forecast of its wear.
package struct Wear: Sendable, Equatable {
    /// Pulses fired.
    package var cycles = 0
    /// Pulses after which the sensor still said closed.
    package var jams = 0
    package var doorTimes = DoorTimes()

    package init() {}

    /// Adds what was counted elsewhere.
    mutating func add(_ other: Wear) {
        cycles += other.cycles
        jams += other.jams
        doorTimes.add(other.doorTimes)
    }
}

/// How long doors took from the order to being seen open, as a histogram: exact enough for a percentile, and always as small.
package struct DoorTimes: Sendable, Equatable {
    /// Upper bounds of the classes in milliseconds: from 10 ms to a little over a minute, each a quarter above the one before.
    package static let bounds: [Double] = (0..<40).map { step in
        (0..<step).reduce(10.0) { bound, _ in bound * 1.25 }
    }

    package private(set) var count = 0
    package private(set) var sumMs = 0.0
    package private(set) var longestMs = 0.0
    /// Doors in each class; empty until the first.
    package private(set) var classes: [Int] = []

    package init() {}

    /// As it was kept. Anything that cannot have been is no times at all.
    package init?(count: Int, sumMs: Double, longestMs: Double, classes: [Int]) {
        guard count >= 0, sumMs >= 0, longestMs >= 0, classes.isEmpty == (count == 0),
            classes.isEmpty || classes.count == Self.bounds.count, classes.allSatisfy({ $0 >= 0 }),
            classes.reduce(0, +) == count
        else { return nil }
        self.count = count
        self.sumMs = sumMs
        self.longestMs = longestMs
        self.classes = classes
    }

    package mutating func add(_ time: Duration) {
        let milliseconds = max(0, time / .milliseconds(1))
        if classes.isEmpty { classes = Array(repeating: 0, count: Self.bounds.count) }
        let place = Self.bounds.firstIndex { milliseconds <= $0 } ?? Self.bounds.count - 1
        classes[place] += 1
        count += 1
        sumMs += milliseconds
        longestMs = max(longestMs, milliseconds)
    }

    mutating func add(_ other: DoorTimes) {
        count += other.count
        sumMs += other.sumMs
        longestMs = max(longestMs, other.longestMs)
        guard !other.classes.isEmpty else { return }
        classes =
            classes.isEmpty ? other.classes : zip(classes, other.classes).map { $0 + $1 }
    }

    /// Nil before the first door.
    package var meanMs: Double? { count == 0 ? nil : sumMs / Double(count) }

    /// The time that 95 of 100 doors took at most, up to the width of a class; nil before the first door.
    package var p95Ms: Double? {
        guard count > 0 else { return nil }
        let rank = (count * 95 + 99) / 100
        var seen = 0
        for (place, doors) in classes.enumerated() {
            seen += doors
            if seen >= rank { return min(Self.bounds[place], longestMs) }
        }
        return longestMs
    }
}
