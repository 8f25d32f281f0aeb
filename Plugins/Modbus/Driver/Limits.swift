/// Every bound of this driver in one place.
enum Limits {
    /// Unit numbers of single boards; 0 is broadcast, 248-255 are reserved.
    static let unit = 1...247
    /// The address space of coils, inputs and registers.
    static let address = 0...0xFFFF
    /// Most bits one request can read.
    static let bitsPerRead = 2000
    /// Most registers one request can read.
    static let registersPerRead = 125
    /// Milliseconds a profile may allow a coil to be energised.
    static let pulse = 10...5000

    /// How often a board may leave the look at its coils unanswered, while it answers for its doors, until it is not asked again.
    static let unansweredSurveys = 3

    // Shares of the time the core gives an open: its pulse and 5 s.

    /// From the start of an open or a read of the doors, for coils that an earlier pulse has left on.
    static let leftovers: Duration = .seconds(1)
    /// From the start of an open until the doors have been read, connecting included.
    static let beforePulse: Duration = .seconds(2)
    /// From the start of an open until the order to energise is answered.
    static let order: Duration = .seconds(3)
    /// From the start of an open until off is confirmed or given up, pulse not counted.
    static let release: Duration = .milliseconds(4300)
    /// From the start of an open until everything is over, pulse not counted.
    static let open: Duration = .milliseconds(4700)
    /// For switching off in `stop`; the core waits 3 s, and a module that is told to end is gone after 1.8 s.
    static let stop: Duration = .milliseconds(1500)

    /// By how much a pulse that the host times may come out longer without it being worth a word: schedulers do that.
    static let pulseSlack: Duration = .milliseconds(20)

    /// Pauses between two tries of off: each is twice as long as the one before.
    static let shortestOffPause: Duration = .milliseconds(50)
    static let longestOffPause: Duration = .milliseconds(500)
}
