/// Every bound of this driver in one place.
enum Limits {
    /// Milliseconds a profile may say that its board energises a lock.
    static let pulse = 10...5000
    /// Most bytes that are looked at for one answer; the longest answer of any family has 74.
    static let noise = 512
    /// Silence that ends an answer of unknown length, beside that of the line: adapters hand bytes on every 16 ms.
    static let settling: Duration = .milliseconds(20)

    /// How long an answer to an order is waited for on boards that are known not to give one.
    static let unanswered: Duration = .milliseconds(60)

    /// How many locks are asked for in one call where each takes a question of its own: an open may be waiting behind it.
    static let readsPerCall = 8
    /// For how long a locker that was fired is read first, where doors are read one by one: as long as the core waits for a door
    /// at most.
    static let interest: Duration = .seconds(15)

    // Shares of the time the core gives an open: its pulse and 5 s.

    /// From the start of an open until the door has been read, connecting included.
    static let beforePulse: Duration = .seconds(2)
    /// From the start of an open until the order is answered.
    static let order: Duration = .seconds(3)
    /// From the start of an open until everything is over.
    static let open: Duration = .milliseconds(4700)
}
