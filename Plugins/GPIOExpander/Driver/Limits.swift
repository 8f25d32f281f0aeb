/// Every bound of this driver in one place.
enum Limits {
    /// Milliseconds a board profile or a controller may allow a pulse to last; the core and the guardian have caps of their own.
    static let pulse = 10...5000
    /// Milliseconds an input must be still before its change counts.
    static let debounce = 0...1000
    /// Highest offset of a line that a file may name; what the chip has is known when it is there.
    static let offset = 0...65_535

    /// Controllers of a link, which share a guardian: it numbers their banks with a byte.
    static let controllers = 256

    /// How often the sensors of a chip without interrupt are read. A read takes about a millisecond of an I2C bus at 100 kHz.
    static let pollInterval: Duration = .milliseconds(20)

    // A contact that changes more often than that tells nothing about a door.

    /// Changes within ``flapSpan`` that make an input flap.
    static let flapChanges = 10
    static let flapSpan: Duration = .seconds(2)
    /// How long it may bounce, without ever being still for as long as a change takes to count: that many times as long, and no
    /// less than ``shortestUnrest``. A contact settles within milliseconds; mains hum on an open wire never does.
    static let unrest = 20
    static let shortestUnrest: Duration = .milliseconds(500)
    /// How long it must be still to be believed again.
    static let flapRest: Duration = .seconds(2)
}
