/// Every bound of this driver in one place.
enum Limits {
    /// From the start of an open until everything is over: the core gives it its pulse and 5 s.
    static let open: Duration = .milliseconds(4600)
    /// Of a read of the doors, connecting included: the core gives it 5 s.
    static let read: Duration = .milliseconds(4600)
    /// How long a read of the doors looks for a tower that is not connected: an open may be waiting behind it.
    static let reach: Duration = .milliseconds(2500)
    /// How long a tower may take for an answer, as the documents of the field have it. The calls above end before.
    static let answer: Duration = .seconds(20)
    /// A busy tower is asked again so much later, and so often, as the documents of the field have it; within the call's time.
    static let busyPause: Duration = .seconds(2)
    static let busyTries = 10
    /// Seconds for which a session token made here may be used: it is used at once.
    static let tokenDuration: Int64 = 120
    /// Seconds without a command after which a connection is given back: a tower talks with one at a time, and has a battery.
    static let idle = 1...600
    /// Most entries of a tower's log in one parcel, which are handed on at once.
    static let logEntries: Int64 = 256
    /// Highest number of a locker on its tower: the answer about all doors is a bit each, in one packet.
    static let locker = 0...4095
    /// Highest number that a tower may give its first locker.
    static let firstLocker = 0...1
}
