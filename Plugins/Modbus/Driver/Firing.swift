import BusKit
import LockerKit

/// One open, from the look at the doors to the proof that the coil is off.
extension ModbusController {
    func fire(
        _ command: OpenCommand, _ ticket: OpenTicket
    ) async throws(LockerError) -> OpenReport {
        let beganAt = context.clock.now
        let pulse = min(max(command.pulse, .milliseconds(1)), plan.profile.longestPulse)
        try command.checkDeadline(at: beganAt)
        try await settleOutputs(until: beganAt + Limits.leftovers)
        // Nothing more is begun for an open that is too late already; what is under way has limits of its own, because an
        // answer that is cut short costs a connection.
        try command.checkDeadline(at: context.clock.now)
        let before = try await lookBefore(command.locker, beganAt)
        guard !ticket.isCancelled else {
            throw LockerError(.cancelled, "cancelled before locker \(command.locker) fired")
        }
        let shot = Shot(
            locker: command.locker, pulse: pulse, beganAt: beganAt, latest: command.deadline,
            before: before)
        let fired =
            if let flash = plan.profile.flash {
                try await fireByBoard(shot, flash)
            } else {
                try await fireByHost(shot, ticket)
            }
        let whole = beganAt.duration(to: context.clock.now)
        let held = plan.profile.flash == nil ? fired.pulse : .zero
        return OpenReport(
            evidence: fired.evidence, doorBefore: before, doorAfter: fired.after,
            bus: max(.zero, whole - held), pulse: fired.pulse)
    }

    /// An open that is past its look at the door.
    private struct Shot {
        let locker: Int
        let pulse: Duration
        let beganAt: ContinuousClock.Instant
        /// The order to energise must not leave then or later.
        let latest: ContinuousClock.Instant?
        let before: DoorState?

        func limit(_ share: Duration) -> ContinuousClock.Instant { beganAt + share }
        /// For what comes after a pulse that the host timed.
        func limitAfterPulse(_ share: Duration) -> ContinuousClock.Instant {
            beganAt + share + pulse
        }
    }

    private struct Fired {
        let evidence: Evidence
        let after: DoorState?
        let pulse: Duration
    }

    /// Reads the doors before anything is energised: it also proves that board and line are there.
    private func lookBefore(
        _ locker: Int, _ beganAt: ContinuousClock.Instant
    ) async throws(LockerError) -> DoorState? {
        let deadline = beganAt + Limits.beforePulse
        do throws(Fault) {
            guard let doors = plan.doors else {
                try await link.connect(isUrgent: true, until: deadline)
                return nil
            }
            let values = try await link.read(
                doors, of: plan, isUrgent: true, until: deadline)
            noteDoorsAnswered()
            return plan.door(of: locker, in: values)
        } catch .refused(let refusal) {
            // Sensors that cannot be read must not lock anybody out.
            context.warning(
                "the doors of \(name) cannot be read: \(refusal.words)")
            return plan.wires[locker]?.door == nil ? nil : .unknown
        } catch {
            throw error.harmless(name)
        }
    }

    /// Reads the door afterwards; what is known about the shot does not depend on it.
    private func lookAfter(
        _ shot: Shot, until deadline: ContinuousClock.Instant
    ) async -> DoorState? {
        guard let doors = plan.doors, plan.wires[shot.locker]?.door != nil else { return nil }
        do throws(Fault) {
            let values = try await link.read(
                doors, of: plan, isUrgent: true, until: deadline)
            return plan.door(of: shot.locker, in: values)
        } catch {
            return nil
        }
    }

    /// The order may or may not have been carried out. A door that was closed and is open answers that.
    private func judge(_ shot: Shot, _ fault: Fault, after: DoorState?, pulse: Duration)
        throws(LockerError) -> Fired
    {
        guard fault.mayHaveActed, shot.before == .closed, after == .open else {
            throw fault.fateful("\(name), asked to fire locker \(shot.locker),")
        }
        return Fired(evidence: .none, after: after, pulse: pulse)
    }
}

// MARK: The board ends the pulse

extension ModbusController {
    private func fireByBoard(
        _ shot: Shot, _ flash: BoardProfile.Flash
    ) async throws(LockerError) -> Fired {
        guard let (value, pulse) = flash.shot(for: shot.pulse) else {
            let what = flash.command == nil ? "that \(name) counts in" : "of every pulse of \(name)"
            throw LockerError(
                .invalidRequest,
                "the pulse of \(shot.pulse.wholeMilliseconds) ms is shorter than the \(flash.unit.wholeMilliseconds) ms \(what)"
            )
        }
        let address = plan.wires[shot.locker]?.flash ?? 0
        do throws(Fault) {
            try await link.send(
                plan.order(address, value), to: plan, before: shot.latest,
                until: shot.limit(Limits.order))
        } catch {
            let after =
                error.mayHaveActed ? await lookAfter(shot, until: shot.limit(Limits.open)) : nil
            return try judge(shot, error, after: after, pulse: pulse)
        }
        let after = await lookAfter(shot, until: shot.limit(Limits.open))
        return Fired(evidence: .echo, after: after, pulse: pulse)
    }
}

// MARK: The host ends the pulse

extension ModbusController {
    private func fireByHost(
        _ shot: Shot, _ ticket: OpenTicket
    ) async throws(LockerError) -> Fired {
        let coil = plan.wires[shot.locker]?.coil ?? 0
        // Noted before it is sent: whatever happens from here on, this coil is ours to switch off.
        let wasOurs = !energised.insert(shot.locker).inserted
        var onAt = context.clock.now
        var fault: Fault?
        var isWhole = true
        do throws(Fault) {
            onAt = try await link.send(
                plan.order(coil, plan.profile.onValue), to: plan, answerWithin: shot.pulse,
                before: shot.latest, until: shot.limit(Limits.order))
            // Counted from the order, not from its answer: off takes the same way.
            isWhole = await ticket.sleep(until: onAt + shot.pulse, on: context.clock)
        } catch {
            fault = error
        }
        if let fault, !fault.mayHaveActed {
            // A coil that an earlier pulse left on stays ours.
            if !wasOurs { energised.remove(shot.locker) }
            return try judge(shot, fault, after: nil, pulse: .zero)
        }
        // This pulse is owed an off of its own, whatever became of an earlier one.
        doubts[shot.locker] = nil
        let deadline = shot.limitAfterPulse(Limits.release)
        offAt = nil
        if let stuck = await release([shot.locker], until: deadline)[shot.locker] {
            throw stuckError(shot.locker, stuck, fired: fault == nil ? .yes : .unknown)
        }
        // Until off left: it may have had to wait for the line to be silent.
        let measured = onAt.duration(to: offAt ?? context.clock.now)
        let pulse =
            measured <= shot.pulse + Limits.pulseSlack ? min(measured, shot.pulse) : measured
        guard isWhole else {
            throw LockerError(
                .cancelled,
                "the pulse of locker \(shot.locker) was cut after \(pulse.wholeMilliseconds) ms",
                fired: .yes, sent: .yes)
        }
        let after = await lookAfter(shot, until: shot.limitAfterPulse(Limits.open))
        if let fault { return try judge(shot, fault, after: after, pulse: pulse) }
        return Fired(evidence: .echo, after: after, pulse: pulse)
    }

    /// Switches coils off, over and over in turn, until the board has confirmed each of them, the deadline has come, or off must
    /// not be repeated. Returns what went wrong last with those that may still be on.
    func release(
        _ lockers: [Int], until deadline: ContinuousClock.Instant
    ) async -> [Int: Fault] {
        var faults: [Int: Fault] = [:]
        var left = lockers
        var pause = Limits.shortestOffPause
        while true {
            for locker in left { faults[locker] = await switchOff(locker, until: deadline) }
            left = left.filter { faults[$0] != nil && refusalToRepeat($0) == nil }
            guard !left.isEmpty, context.clock.now + pause < deadline else { return faults }
            try? await context.clock.sleep(for: pause)
            pause = min(pause * 2, Limits.longestOffPause)
        }
    }

    /// Tries once to switch a coil off; nil once the board has confirmed it.
    func switchOff(_ locker: Int, until deadline: ContinuousClock.Instant) async -> Fault? {
        if let doubt = refusalToRepeat(locker) { return doubt }
        guard let coil = plan.wires[locker]?.coil else { return nil }
        do throws(Fault) {
            offAt = try await link.send(
                plan.order(coil, plan.profile.offValue), to: plan, isRelease: true, until: deadline)
        } catch {
            if error.mayHaveActed { doubts[locker] = error }
            return error
        }
        energised.remove(locker)
        doubts[locker] = nil
        return nil
    }

    /// Why off must not be sent once more: the last one may have acted, and a second one is not known to be harmless.
    private func refusalToRepeat(_ locker: Int) -> Fault? {
        plan.profile.offIsSafe ? nil : doubts[locker]
    }

    nonisolated func stuckError(_ locker: Int, _ fault: Fault, fired: LockerError.Fired)
        -> LockerError
    {
        let text =
            "coil \(plan.wires[locker]?.coil ?? 0) of \(name) may still be on, off was not confirmed: \(fault.clause)"
        context.error(text)
        return LockerError(.outputStuck, text, fired: fired, sent: .yes)
    }
}
