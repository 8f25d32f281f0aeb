/// Every bound of this driver in one place.
enum Limits {
    /// From the start of an open until everything is over: the core gives it its pulse and what the manifest says, 25 s.
    static let open: Duration = .milliseconds(24_500)
    /// How long an open tries to connect: a tower in range takes a second or two.
    static let connect: Duration = .seconds(10)
    /// Of a read of the doors, connecting included: the core gives it 5 s.
    static let read: Duration = .milliseconds(4600)
    /// How long a read of the doors looks for a tower that is not connected: an open may be waiting behind it.
    static let reach: Duration = .milliseconds(2500)
    /// How long a tower may take for an answer, as the documents of the field have it.
    static let answer: Duration = .seconds(20)
    /// A busy tower is asked again so much later, and so often, as the documents of the field have it.
    static let busyPause: Duration = .seconds(2)
    static let busyTries = 10
    /// Seconds for which a session token made here is good. A session lasts no longer than its token.
    static let tokenDuration: Int64 = 3600
    /// A session that ends so soon is begun anew before anything is asked in it: an end in the middle of an open looks like a fault.
    /// More than the 300 s by which a tower's clock may be ahead of this one.
    static let sessionReserve: Int64 = 420
    /// Seconds between two looks for a newer token, once the one that is used ends soon.
    static let tokenPause: Int64 = 60
    /// For how long after an open the same locker is opened again without a right of its own.
    static let again: Duration = .seconds(60)
    /// Bytes of a token's halves that a tower takes (docs/tower-link.md), and of a parcel's together.
    static let token = 1024
    static let parcel = 8000
    /// Seconds without a command after which a connection is given back: a tower talks with one at a time, and has a battery.
    static let idle = 1...600
    /// Most entries of a tower's log in one parcel, which are handed on at once.
    static let logEntries: Int64 = 256
    /// Bytes of a parcel for each entry in it.
    static let sealedEntry = 512
    /// Highest number of a locker on its tower: the answer about all doors is a bit each, in one packet.
    static let locker = 0...4095
    /// Highest number that a tower may give its first locker.
    static let firstLocker = 0...1
}
