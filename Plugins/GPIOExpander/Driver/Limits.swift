/// Every bound of this driver in one place.
enum Limits {
    /// Milliseconds a board profile or a controller may allow a pulse to last; the core and the guardian have caps of their own.
    static let pulse = 10...5000
    /// Milliseconds an input must be still before its change counts.
    static let debounce = 0...1000
    /// Highest offset of a line that a file may name; what the chip has is known when it is there.
    static let offset = 0...65_535

    // A contact that changes more often than that tells nothing about a door.

    /// Changes within ``flapSpan`` that make an input flap.
    static let flapChanges = 10
    static let flapSpan: Duration = .seconds(2)
    /// How long it must be still to be believed again.
    static let flapRest: Duration = .seconds(2)
}
