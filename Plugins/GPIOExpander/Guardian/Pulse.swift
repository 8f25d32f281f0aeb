import GPIOLines

/// A line that is on, or may be.
struct Pulse {
    typealias Instant = ContinuousClock.Instant

    /// Between the first tries to switch off what could not be; doubled with each one after ``triesUntilStuck``.
    static let shortestPause: Duration = .milliseconds(10)
    /// Nobody waits for a line that does not want to; once a second is enough after a while.
    static let longestPause: Duration = .seconds(1)
    /// How long after it was switched on a line is looked at: what is wired to it may be slow.
    static let settling: Duration = .milliseconds(2)
    /// One order that a bus loses is no alarm: the next one, 10 ms later, mends it.
    static let triesUntilStuck = 3

    /// The order's number.
    let id: Int
    /// The driver's number of the bank.
    let number: Int
    let bank: Bank
    /// The line's place in the bank.
    let line: Int
    /// What drives it, with its place there.
    let lines: any OutputLines
    let place: Int
    let beganAt: Instant
    var endsAt: Instant
    /// When to look whether it is on; nil once that was done, and where the pulse is too short for it.
    private(set) var looksAt: Instant?
    /// Whether it was on when it was looked at; nil where nobody has.
    private(set) var isSeen: Bool?
    /// Its driver has been told that it is over, in one way or another.
    var isReported = false
    /// How often it could not be switched off, and why the last time.
    private(set) var tries = 0
    private(set) var trouble: GPIOFailure?
    private var readsOn = false

    init(
        _ order: Order, _ line: Int, of bank: Bank, on lines: any OutputLines, at place: Int,
        from now: Instant, to end: Instant
    ) {
        id = order.id
        number = order.bank
        self.bank = bank
        self.line = line
        self.lines = lines
        self.place = place
        beganAt = now
        endsAt = end
        let look = now + Self.settling
        looksAt = look < end ? look : nil
    }

    var onLevel: Bool { bank.lines[line].onLevel }
    var isStuck: Bool { tries >= Self.triesUntilStuck }

    /// Looks whether it is on: not every driver in the kernel says so where its chip has not got the order.
    mutating func look() {
        looksAt = nil
        isSeen = (try? lines.levels()[place]) == onLevel
    }

    /// Switches it off and sees that it is.
    ///
    /// Returns false where it is, or may be, on still; it has an end then at which to try again.
    mutating func switchOff(at now: Instant) -> Bool {
        looksAt = nil
        do throws(GPIOFailure) {
            readsOn = try !lines.switchOff(place, from: onLevel, readsOn: readsOn)
            guard readsOn else { return true }
            let offset = bank.lines[line].offset
            throw GPIOFailure(
                stillOn, "line \(offset) of \(bank.chip): it was switched off and is on still")
        } catch {
            tries += 1
            trouble = error
            endsAt = now + Self.pause(after: tries)
            return false
        }
    }

    static func pause(after tries: Int) -> Duration {
        let doublings = min(max(tries - triesUntilStuck, 0), 10)
        return min(shortestPause * (1 << doublings), longestPause)
    }

    /// EIO, as every Linux numbers it.
    private var stillOn: Int32 { 5 }
}
