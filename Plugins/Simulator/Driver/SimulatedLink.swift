import Glibc
import LockerKit
import Locks

/// What ends or blocks the process, so that a test can put something gentler in its place.
package struct Disaster: Sendable {
    package let crash: @Sendable () -> Void
    package let hang: @Sendable () -> Void

    package init(crash: @escaping @Sendable () -> Void, hang: @escaping @Sendable () -> Void) {
        self.crash = crash
        self.hang = hang
    }

    /// Dies as if killed, without a chance to clean up, and hangs as a C call does.
    static let real = Disaster(
        crash: { kill(getpid(), SIGKILL) },
        hang: { while true { pause() } })
}

/// What the controllers of one link share: the cable, and the script of what happens to it.
final class SimulatedLink: Sendable {
    /// What an open is to suffer.
    enum Fate {
        case normal
        case replyLost
        case strike(LinkFault)
    }

    private struct State {
        var opens = 0
        /// When the n-th lock was fired, for faults that begin there and last for a while.
        var downSince: [Int: ContinuousClock.Instant] = [:]
        /// How often each fault has struck.
        var strikes: [Int: Int] = [:]
        var isHung = false
    }

    let settings: LinkSettings
    let context: DriverContext
    let disaster: Disaster
    let startedAt: ContinuousClock.Instant
    private let journal: CoilJournal?
    private let state = Mutex(State())

    init(
        settings: LinkSettings, context: DriverContext, disaster: Disaster, journal: CoilJournal?
    ) {
        self.settings = settings
        self.context = context
        self.disaster = disaster
        self.journal = journal
        startedAt = context.clock.now
    }

    /// Begins a call: takes its time on the cable, and fails where the cable is down.
    func enter(isOpen: Bool = false) async throws(LockerError) {
        waitForHungCall()
        if settings.latency > .zero {
            do {
                try await context.clock.sleep(for: settings.latency)
            } catch {
                throw LockerError(.cancelled, "cancelled before anything was sent")
            }
        }
        guard !isDown else {
            throw LockerError(.linkDown, "link \(context.link) is down, as its script says")
        }
        if !isOpen, let fault = overdueDisaster() { strike(fault) }
    }

    /// Decides what the open that is about to fire is to suffer.
    func fate() -> Fate {
        let now = context.clock.now
        return state.withLock { state in
            for (index, fault) in settings.faults.enumerated()
            where fault.kind != .linkDown && isDue(fault, state.opens, now)
                && state.strikes[index, default: 0] < fault.times
            {
                state.strikes[index, default: 0] += 1
                return fault.kind == .replyLost ? .replyLost : .strike(fault)
            }
            return .normal
        }
    }

    /// Counts a lock that was fired.
    func noteFired() {
        let now = context.clock.now
        state.withLock { state in
            state.opens += 1
            for (index, fault) in settings.faults.enumerated()
            where fault.kind == .linkDown && fault.trigger == .opens(state.opens) {
                state.downSince[index] = now
            }
        }
    }

    func strike(_ fault: LinkFault) {
        switch fault.kind {
        case .crash: disaster.crash()
        case .hang:
            state.withLock { $0.isHung = true }
            disaster.hang()
        case .linkDown, .replyLost: break
        }
    }

    /// Whoever needs the cable once a call hangs on it hangs as well.
    func waitForHungCall() {
        if state.withLock({ $0.isHung }) { disaster.hang() }
    }

    func noteCoil(
        _ controller: String, _ locker: Int, isOn: Bool, after delay: Duration = .zero,
        token: OpenToken? = nil
    ) {
        journal?.note(
            CoilJournal.Switching(
                controller: controller, locker: locker, isOn: isOn,
                timing: settings.capabilities.pulseTiming,
                moment: startedAt.duration(to: context.clock.now), delay: delay, token: token))
    }

    var isDown: Bool {
        let now = context.clock.now
        return state.withLock { state in
            settings.faults.enumerated().contains { index, fault in
                guard fault.kind == .linkDown else { return false }
                let since: ContinuousClock.Instant?
                switch fault.trigger {
                case .time(let delay): since = startedAt + delay
                case .opens(0): since = startedAt
                case .opens: since = state.downSince[index]
                }
                guard let since else { return false }
                return since <= now && now < since + fault.duration
            }
        }
    }

    /// A crash or a hang whose time has come strikes any call, not only an open.
    private func overdueDisaster() -> LinkFault? {
        let now = context.clock.now
        return state.withLock { state in
            for (index, fault) in settings.faults.enumerated() {
                guard case .time = fault.trigger, fault.kind == .crash || fault.kind == .hang,
                    isDue(fault, state.opens, now), state.strikes[index, default: 0] < fault.times
                else { continue }
                state.strikes[index, default: 0] += 1
                return fault
            }
            return nil
        }
    }

    private func isDue(_ fault: LinkFault, _ opens: Int, _ now: ContinuousClock.Instant) -> Bool {
        switch fault.trigger {
        case .opens(let count): opens >= count
        case .time(let delay): now >= startedAt + delay
        }
    }
}
