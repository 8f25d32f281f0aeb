import BusKit
import LockerKit

/// The look at the coils that the board is owed after a start.
enum Survey {
    case due, done
    /// The board does not tell whether its coils are on.
    case impossible
}

/// Coils that may be on though no pulse is under way.
extension ModbusController {
    /// Comes before anything else that is asked of the board: switches off what may still be on, and throws where that could
    /// not be confirmed. Nobody may fire another lock then, and somebody must look.
    func settleOutputs(until deadline: ContinuousClock.Instant) async throws(LockerError) {
        isSurveyUnanswered = false
        // Off goes first: a board that lets a read of its coils time out must not cost it its time.
        await switchOff(energised, until: deadline)
        if survey == .due || !energised.isEmpty || !foundOn.isEmpty {
            await switchOff(await lookAtCoils(until: deadline), until: deadline)
        }
        if let locker = energised.min() {
            let doubt = doubts[locker].map { ": it \($0.clause)" } ?? ""
            throw LockerError(
                .outputStuck,
                "the coil of locker \(locker) of \(name) may still be on, off was not confirmed\(doubt)"
            )
        }
        if let locker = foundOn.min() {
            throw LockerError(.outputStuck, "\(wasOn(locker)) and has not been read off since")
        }
    }

    private func wasOn(_ locker: Int) -> String {
        "the coil of locker \(locker) of \(name) was on at the start"
    }

    private func switchOff(_ lockers: Set<Int>, until deadline: ContinuousClock.Instant) async {
        for locker in lockers.sorted() where await switchOff(locker, until: deadline) == nil {
            noteOff(locker)
        }
    }

    private func noteOff(_ locker: Int) {
        context.warning("the coil of locker \(locker) of \(name) is off at last")
    }

    /// Reads the coils once after a start, because an earlier life of this process may have ended in the middle of a pulse,
    /// and again while one of them is in doubt: a coil that reads off is off.
    ///
    /// Nothing is swept: only coils that read on are switched off, and only where the profile says that off is safe; elsewhere
    /// they are an alarm. Returns those to switch off that were not known yet.
    private func lookAtCoils(until deadline: ContinuousClock.Instant) async -> Set<Int> {
        guard survey != .impossible, let request = plan.coils else {
            survey = .impossible
            return []
        }
        let values: [UInt16]
        do throws(Fault) {
            values = try await link.read(
                request, of: plan, isUrgent: false, until: deadline)
        } catch {
            noteUnanswered(error)
            return []
        }
        let isFirst = survey == .due
        survey = .done
        var found: Set<Int> = []
        for locker in plan.wires.keys {
            guard let mayBeOn = plan.mayBeOn(locker, in: values) else { continue }
            if !mayBeOn {
                energised.remove(locker)
                doubts[locker] = nil
                if foundOn.remove(locker) != nil { noteOff(locker) }
            } else if isFirst, !energised.contains(locker) {
                if noteOn(locker) { found.insert(locker) }
            }
        }
        return found
    }

    /// Takes note of a coil that somebody else left on; whether it may be switched off.
    private func noteOn(_ locker: Int) -> Bool {
        guard plan.profile.offIsSafe else {
            // Whoever says that off is not safe to repeat may have a board on which it opens a door.
            if foundOn.insert(locker).inserted {
                context.error(
                    "\(wasOn(locker)); it is left alone, because its profile does not say that off is safe"
                )
            }
            return false
        }
        context.warning(wasOn(locker))
        return energised.insert(locker).inserted
    }

    private func noteUnanswered(_ fault: Fault) {
        switch fault {
        // No such function, no such coils: the board will not learn it.
        case .refused(let refusal) where 1...3 ~= refusal.number: survey = .impossible
        case .down, .notSent, .expired: break
        case .halfSent, .lost, .silent, .garbled, .refused: isSurveyUnanswered = true
        }
    }

    /// The board has answered something else: where it left the question about its coils unanswered, and not for the first
    /// time, it does not know it. Asking for ever would cost every call a time-out.
    func noteDoorsAnswered() {
        guard isSurveyUnanswered, survey == .due else { return }
        isSurveyUnanswered = false
        unansweredSurveys += 1
        guard unansweredSurveys >= Limits.unansweredSurveys else { return }
        survey = .impossible
        context.warning(
            "\(name) reads its doors and not its coils (function \(plan.profile.write.readBack.rawValue)): one that was on at the start cannot be found"
        )
    }
}
