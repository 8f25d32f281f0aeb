import LockerKit
import Logging
import SiteModel

/// What came of a shot.
extension OpenRun {
    func judge(_ shot: Shot) async -> LockerResult.Ending {
        let ending = await verdict(shot)
        context.environment.passing(.judged)
        return ending
    }

    private func verdict(_ shot: Shot) async -> LockerResult.Ending {
        var timing = OpenTiming()
        timing.queue = acceptedAt.duration(to: shot.at)
        switch shot.result {
        case .success(let report):
            timing.bus = report.bus
            timing.pulse = report.pulse
            noteFired(pulse: report.pulse)
            return await judge(report, shot, timing)
        case .failure(let error) where error.fired == .no:
            return .failed(error)
        case .failure(let error):
            context.logger.warning(
                "open of \(address) ended without a clear answer: \(error.message)",
                metadata: ["controller": "\(controller.id)", "operation": "\(operation)"])
            if error.fired == .yes { noteFired(pulse: pulse) }
            // A coil that may be on is told as such, whatever the door says.
            if error.fired == .yes || error.code == .outputStuck { return .failed(error) }
            return await judgeUnknown(shot, timing)
        }
    }

    private func noteFired(pulse: Duration) {
        context.snapshot.update(locker: address) { $0.wear.cycles += 1 }
        context.events.append(.lockFired(locker: identity, operation: operation, pulse: pulse))
        if pulse > Limits.longestPulse {
            context.logger.error(
                "the driver of \(address) reports a pulse of \(pulse); \(self.pulse) was asked for")
        }
    }

    /// The driver says that the lock was fired.
    private func judge(
        _ report: OpenReport, _ shot: Shot, _ timing: OpenTiming
    ) async -> LockerResult.Ending {
        noteDoors(report, shot)
        guard watchesDoor else { return unwatched(report.evidence, timing) }
        let wasOpen = wasOpen(report.doorBefore, shot)
        var timing = timing
        let verdict: DoorWatch.Verdict
        if report.doorAfter == .open {
            verdict = .open(at: context.clock.now)
        } else {
            // A door that was read closed before the pulse was over has not failed to open yet.
            let wasClosed = isHostTimed && report.doorAfter == .closed
            verdict = await waitForDoor(shot, closedAt: wasClosed ? context.clock.now : nil)
        }
        switch verdict {
        case .open(let at):
            let door = shot.at.duration(to: at)
            timing.door = door
            let outcome: Outcome = wasOpen ? .alreadyOpen : .opened
            if !wasOpen {
                context.snapshot.update(locker: address) { $0.wear.doorTimes.add(door) }
            }
            context.notePulseOver(identity, hasMoved: !wasOpen, wasOpen: wasOpen)
            return .outcome(outcome, evidence: .doorSensor, door: .open, timing: timing)
        case .closed:
            if let late = context.truth.noteJam(
                address, operation: operation, firedAt: shot.at)
            {
                // It opened in the moment in which the wait for it ended.
                timing.door = late.door
                context.snapshot.update(locker: address) { $0.wear.doorTimes.add(late.door) }
                context.notePulseOver(identity, hasMoved: true)
                return .outcome(
                    .openedLate, evidence: .doorSensor, door: .open, timing: timing)
            }
            context.events.append(.lockJammed(locker: identity, operation: operation))
            context.notePulseOver(identity, hasMoved: false)
            context.snapshot.update(locker: address) { $0.wear.jams += 1 }
            return .outcome(.jammed, evidence: .doorSensor, door: .closed, timing: timing)
        case .unseen:
            return .outcome(.pulsed, evidence: report.evidence, door: .unknown, timing: timing)
        }
    }

    /// The driver cannot say whether the lock fired; a door that was surely closed and is seen open does.
    private func judgeUnknown(_ shot: Shot, _ timing: OpenTiming) async -> LockerResult.Ending {
        var timing = timing
        guard watchesDoor else {
            return .outcome(.unknown, evidence: .none, door: .unknown, timing: timing)
        }
        switch await waitForDoor(shot, closedAt: nil) {
        case .open(let at) where shot.doorBefore == .closed:
            timing.pulse = pulse
            let door = shot.at.duration(to: at)
            timing.door = door
            noteFired(pulse: pulse)
            context.snapshot.update(locker: address) { $0.wear.doorTimes.add(door) }
            return .outcome(.opened, evidence: .doorSensor, door: .open, timing: timing)
        case .open: return .outcome(.unknown, evidence: .none, door: .open, timing: timing)
        case .closed: return .outcome(.unknown, evidence: .none, door: .closed, timing: timing)
        case .unseen: return .outcome(.unknown, evidence: .none, door: .unknown, timing: timing)
        }
    }

    private var watchesDoor: Bool {
        locker.hasSensor
            && context.snapshot.locker(.address(address))?.service.brokenLock != true
            && context.snapshot.controller(controller.id)?.capabilities?.doorSensors != false
    }

    /// Nothing watches the door: the board's own word is all there is.
    private func unwatched(_ evidence: Evidence, _ timing: OpenTiming) -> LockerResult.Ending {
        let isBroken = context.snapshot.locker(.address(address))?.service.brokenLock == true
        if evidence == .lockFeedback, !isBroken {
            return .outcome(.opened, evidence: .lockFeedback, door: .unknown, timing: timing)
        }
        return .outcome(
            .pulsed, evidence: isBroken ? .none : evidence, door: .unknown, timing: timing)
    }

    private func wasOpen(_ reported: DoorState?, _ shot: Shot) -> Bool {
        switch reported {
        case .open: true
        case .closed: false
        case .unknown, nil: shot.doorBefore == .open
        }
    }

    private func noteDoors(_ report: OpenReport, _ shot: Shot) {
        var doors: [DoorReading] = []
        if let before = report.doorBefore {
            doors.append(DoorReading(locker: locker.number, door: before, takenAt: shot.at))
        }
        if let after = report.doorAfter {
            doors.append(
                DoorReading(locker: locker.number, door: after, takenAt: context.clock.now))
        }
        context.note(doors, controller: controller.id)
    }

    /// Waits from the end of the pulse, which may lie in the board's hands, for as long as a door may take.
    private func waitForDoor(
        _ shot: Shot, closedAt: ContinuousClock.Instant?
    ) async -> DoorWatch.Verdict {
        let rest = coilRest(shot)
        let limit = controller.doorWait + rest
        return await context.watch.wait(
            for: address,
            DoorWatch.Terms(
                firedAt: shot.at, pulseEndsAt: context.clock.now + rest,
                staleAfter: controller.staleAfter, closedAt: closedAt), limit: limit
        ) {
            context.start { await lane.watch(controller.id, for: limit) }
        }
    }
}
