/// The journal's own clock: how long daemons have kept the file, in milliseconds.
///
/// The wall clock jumps, and a machine's clock begins anew with the machine. So the file remembers how old it was; time that
/// nobody can vouch for, while the machine was off, does not count. That errs on keeping longer.
struct AgeClock: Sendable {
    private let age: Int64
    private let start: Int64
    private let monotonicMs: @Sendable () -> Int64

    /// Goes on from what `head` remembers.
    init(_ head: JournalHead, machineBoot: String, monotonicMs: @escaping @Sendable () -> Int64) {
        let now = monotonicMs()
        let away = head.machineBoot == machineBoot ? max(0, now - head.monotonic) : 0
        age = head.age + away
        start = now
        self.monotonicMs = monotonicMs
    }

    /// Age of the file and the machine's own time, of the same moment.
    func read() -> (age: Int64, monotonic: Int64) {
        let now = monotonicMs()
        return (age + max(0, now - start), now)
    }
}
